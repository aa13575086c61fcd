-- The regions' rows, one frame, become the table `best_customers` of results/orders.duckdb.
SELECT * FROM {{ df_1 }} ORDER BY region, spent DESC
