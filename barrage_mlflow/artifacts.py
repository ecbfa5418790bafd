"""Names of the files in an artifact folder: the one place where training and scoring meet.

::

    <artifact folder>/
      config.json            the config as given (config.yaml for a YAML file)
      resolved_config.json   with every default and override filled in
      run.json               the MLflow run that it belongs to
      model/                 all that scoring reads; packed into the MLflow model as it stands
        config.json          the resolved config
        transformer/         what RecordTransformer.save wrote
        network/             the best network, as a TensorFlow SavedModel
        signature.json       the columns that scoring reads, the network's inputs and outputs
      code/                  the project's own modules, as they were when training began
      checkpoints/           best.weights.h5, and the last two resume checkpoints in resume/
      tensorboard/           event files
      training_report.csv    every metric of every epoch
      network_summary.txt
      learning_curves.png
"""

CONFIG = "config"
RESOLVED_CONFIG = "resolved_config.json"
RUN = "run.json"

MODEL = "model"
MODEL_CONFIG = "config.json"
MODEL_TRANSFORMER = "transformer"
MODEL_NETWORK = "network"
MODEL_SIGNATURE = "signature.json"

CODE = "code"

CHECKPOINTS = "checkpoints"
BEST_WEIGHTS = "best.weights.h5"
RESUME = "resume"

TENSORBOARD = "tensorboard"
REPORT = "training_report.csv"
NETWORK_SUMMARY = "network_summary.txt"
LEARNING_CURVES = "learning_curves.png"
