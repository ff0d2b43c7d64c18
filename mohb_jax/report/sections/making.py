"""How the report was made: commands, settings, versions, tables and files."""

import html

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.report.parts import Section, command_html


def build(analysis: Analysis) -> Section:
    """The last section; the page lists its files below."""
    return Section("making", "How this report was made", making(analysis.study))


def making(study: FinishedStudy) -> str:
    """Command, settings, versions and tables."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(study.versions.items()))
    settings = _settings(study)
    parts = [command_html(study)]
    parts += [f"<p>Settings: {html.escape(settings)}.</p>"] if settings else []
    parts += [f"<p>What counts: {html.escape(', '.join(study.credits))}.</p>"]
    made = study.compilation
    if made.get("programs"):
        parts += [
            f"<p>Compiled programs: {made['programs']:,}, {made['seconds']:,.0f} s of the runs' time.</p>"
        ]
    parts += [f"<p>Versions: {html.escape(versions)}.</p>"] if versions else []
    parts += [_provenance(study, name, table) for name, table in study.tables.items()]
    return "\n".join(parts)


def _settings(study: FinishedStudy) -> str:
    """The settings that were given, those of single methods after their names."""
    stated = {key: value for key, value in study.settings.items() if isinstance(value, (int, float, str))}
    stated |= dict(study.settings.get("settings") or {})
    parts = [
        f"{name} = {value}" for name, value in stated.items() if name not in ("name", "reference", "memory")
    ]
    for entry in study.settings.get("methods") or []:
        own = ", ".join(f"{name} = {value}" for name, value in (entry.get("settings") or {}).items())
        parts += [f"{entry.get('name') or entry.get('method')}: {own}"] if own else []
    return "; ".join(parts)


def _provenance(study: FinishedStudy, name: str, table: ResultTable) -> str:
    fingerprint = study.fingerprints.get(name) or table.fingerprint
    here = " (as it was run; re-priced here)" if study.prices and name in study.prices.changes else ""
    return (
        f"<p>Table <strong>{html.escape(name)}</strong>{here}, fingerprint "
        f"<code>{html.escape(fingerprint)}</code>. {html.escape(table.provenance)}</p>"
    )
