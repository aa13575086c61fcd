"""Words for where data comes from and goes to, as block configurations and Mage's `DataSource` have them."""

from __future__ import annotations

from enum import StrEnum


class DataSource(StrEnum):
    """What there is a class for in `mage_ai.io`."""

    AZURE_BLOB_STORAGE = "azure_blob_storage"
    BIGQUERY = "bigquery"
    CLICKHOUSE = "clickhouse"
    DUCKDB = "duckdb"
    FILE = "file"
    GOOGLE_CLOUD_STORAGE = "google_cloud_storage"
    MONGODB = "mongodb"
    MSSQL = "mssql"
    MYSQL = "mysql"
    POSTGRES = "postgres"
    REDSHIFT = "redshift"
    S3 = "s3"
    SNOWFLAKE = "snowflake"
    SQLITE = "sqlite"
    TRINO = "trino"
