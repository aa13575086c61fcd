-- One run for each region; df_1 is the region's own row.
SELECT region, customer, sum(amount) AS spent, count(*) AS orders
FROM read_csv('{{ repo_path }}/data/orders.csv')
JOIN {{ df_1 }} AS item USING (region)
WHERE day >= '{{ since }}'
GROUP BY region, customer
ORDER BY spent DESC
LIMIT {{ best }}
