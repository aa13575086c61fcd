-- Each row is an item: the blocks below run once for each region.
SELECT region, count(*) AS orders
FROM read_csv('{{ repo_path }}/data/orders.csv')
GROUP BY region
ORDER BY region
