from pathlib import Path

from mage_ai.settings.repo import get_repo_path

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter


@data_exporter
def export_data(days, months, airlines, storms, **kwargs) -> None:
    """Writes the tables into the project's folder `results`, each as Parquet and as CSV."""
    folder = Path(get_repo_path()) / "results"
    folder.mkdir(exist_ok=True)
    tables = {"days": days, "months": months, "airlines_on_bad_days": airlines, "storms": storms}
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
        table.to_csv(folder / f"{name}.csv", index=False)
        print(f"{name}: {len(table)} rows")
