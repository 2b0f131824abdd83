"""First steps with Milvus's own Python client: list, create, insert, search. Argument: the URL."""

import random
import sys

from pymilvus import MilvusClient

client = MilvusClient(sys.argv[1])
name = "milvusctl_official_client"
client.drop_collection(name)
client.create_collection(name, dimension=8, metric_type="L2")
assert name in client.list_collections()
random.seed(1)
rows = [{"id": row, "vector": [random.random() for _ in range(8)]} for row in range(50)]
inserted = client.insert(name, rows)
assert inserted["insert_count"] == len(rows), inserted
found = client.search(name, data=[rows[17]["vector"]], limit=3, consistency_level="Strong")[0]
assert found[0]["id"] == 17, found
client.drop_collection(name)
assert name not in client.list_collections()
print("ok")
