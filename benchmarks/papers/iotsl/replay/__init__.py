"""IoTSL's trainings in miniature: forgetting and imputation, pre-training, noise, random shares."""
