"""CNN Lab: one small convolutional network, written in two ways, trained, compared and tried."""

# For a process that trains, before it imports PyTorch. The threads of OpenMP wait for each other at the end of every
# operation, by default in a loop that keeps their core busy. On two cores, with a server and a browser beside them,
# they so keep the thread they wait for from its core: measured with one busy process on two cores, an epoch took 11 s
# instead of 1.6 s.
TRAINING_ENVIRONMENT = {"OMP_WAIT_POLICY": "passive"}
