"""Scores rows with Spark by unisono's recipe: `scoring_on_spark STORE NAME VERSION ROWS`.

The rows are an NPY file. Prints a JSON list of the scores, in the rows' order. All of Spark's is on loopback.
"""

import json
import sys

import numpy as np
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, FloatType

from ensemble.pipelines.spark import PredictFn
from ensemble.pipelines.stored_ensemble import StoredEnsemble


def main(store: str, name: str, version: str, file: str) -> None:
    """Score the rows in two partitions."""
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
    sys.stdout.write(json.dumps([row["scores"] for row in scored]))
    session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
