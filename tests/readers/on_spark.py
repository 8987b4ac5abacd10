"""Scores rows by unisono's recipe and reads results, in one session of Spark.

usage: python on_spark.py STORE NAME VERSION ROWS RESULTS

ROWS is an NPY file, RESULTS a folder. Prints a JSON object: `scores` in the rows' order, and the results'
`rows` as they come. All of Spark's is on loopback.
"""

import json
import sys

import numpy as np
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, FloatType

from ensemble.pipelines.spark import PredictFn
from ensemble.pipelines.stored_ensemble import StoredEnsemble


def main(store: str, name: str, version: str, file: str, results: str) -> None:
    """Score the rows in two partitions, and read the folder as its users do."""
    builder = SparkSession.builder.master("local[2]")
    for setting, value in {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }.items():
        builder = builder.config(setting, value)
    session = builder.getOrCreate()
    x = np.load(file)
    predict = PredictFn(StoredEnsemble(store, name, int(version)))
    score = predict_batch_udf(
        predict, return_type=ArrayType(FloatType()), batch_size=16, input_tensor_shapes=[list(x.shape[1:])]
    )
    rows = [(number, row.ravel().tolist()) for number, row in enumerate(x)]
    frame = session.createDataFrame(rows, "number long, x array<float>").repartition(2)
    scored = frame.select("number", score("x").alias("scores")).orderBy("number").collect()
    read = [row.asDict(recursive=True) for row in session.read.parquet(results).collect()]
    sys.stdout.write(json.dumps({"scores": [row["scores"] for row in scored], "rows": read}))
    session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
