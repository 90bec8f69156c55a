"""CNN Lab: one small convolutional network, written in two ways, trained, compared and tried."""

# For a process that trains, before it imports PyTorch. A thread of OpenMP that waits for the others turns round in a
# loop, by default for some milliseconds, before it gives its core away. On two cores, with a server and a browser
# beside it, that is often the core which the thread it waits for would need: measured beside one busy process, an epoch
# then takes 2 to 11 s. After 2,000 turns it takes 1.1 s, and on an idle machine 0.75 s instead of 0.7 s.
TRAINING_ENVIRONMENT = {"GOMP_SPINCOUNT": "2000"}
