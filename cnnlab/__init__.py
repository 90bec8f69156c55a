"""CNN Lab: one small convolutional network, written in two ways, trained, compared and tried."""
