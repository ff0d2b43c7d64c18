"""The public names, and where each is at home: one line adds a name.

``import mohb_jax`` imports none of these: ``__init__.py`` reads this file and fetches a name at first use.
"""

from mohb_jax.arrays import additive_epsilon as additive_epsilon
from mohb_jax.arrays import crowding_order as crowding_order
from mohb_jax.arrays import epsilon_net_order as epsilon_net_order
from mohb_jax.arrays import hypervolume as hypervolume
from mohb_jax.arrays import hypervolume_contributions as hypervolume_contributions
from mohb_jax.arrays import hypervolume_monte_carlo as hypervolume_monte_carlo
from mohb_jax.arrays import igd_plus as igd_plus
from mohb_jax.arrays import pareto_rank as pareto_rank
from mohb_jax.errors import InputError as InputError
from mohb_jax.honest_prior import Honesty as Honesty
from mohb_jax.honest_prior import learn_transfer_prior as learn_transfer_prior
from mohb_jax.methods import METHODS as METHODS
from mohb_jax.methods import register as register
from mohb_jax.results import Results as Results
from mohb_jax.results import load_results as load_results
from mohb_jax.running import run_study as run_study
from mohb_jax.simulation import simulate as simulate
from mohb_jax.transfer import Prior as Prior
from mohb_jax.tuner.jobs import Job as Job
from mohb_jax.tuner.on_ray import for_ray as for_ray
from mohb_jax.tuner.priors import learn_prior as learn_prior
from mohb_jax.tuner.setup import rungs as rungs
from mohb_jax.tuner.space import Space as Space
from mohb_jax.tuner.tuner import Tuner as Tuner
from mohb_jax.types import RunLog as RunLog
