"""What people call the settings of a recipe, and what each one does."""

LABELS = {
    "epochs": "Epochs",
    "batch_size": "Batch size",
    "optimizer": "Optimizer",
    "learning_rate": "Learning rate",
    "momentum": "Momentum",
    "weight_decay": "Weight decay",
    "schedule": "Schedule",
    "shift": "Shift (pixels)",
    "seed": "Seed",
    "device": "Device",
    "threads": "Threads",
    "kernels": "Backend",
    "augment": "Change the images",
}
HELP = {
    "epochs": "How often the network sees all 60,000 training images.",
    "batch_size": "How many images it sees before each change of its weights.",
    "optimizer": "The rule that turns gradients into changes of the weights.",
    "learning_rate": "How large each change is. Too large, and the loss grows instead of falling.",
    "momentum": "How much of the last change is kept in the next one; in Adam and AdamW, the first beta.",
    "weight_decay": "How strongly each step pulls the weights towards 0; the tutorial does not.",
    "schedule": "What becomes of the learning rate: constant, or rising over the first quarter and falling to 0.",
    "augment": "Changes each training image at random: leaned, stretched, with other strokes. For digits that people "
    "draw; the tutorial does not.",
    "shift": "By how many pixels each training image is moved at random, at most. The tutorial leaves them in place.",
    "seed": "Decides the first weights and the order of the images. The same seed gives the same losses.",
    "device": "Where the network is trained: auto is a GPU where there is one.",
    "threads": "How many CPU cores one run uses. With half of them, two runs train at once.",
    "kernels": "What computes convolution, ReLU and pooling: fused, the lab's own code, which does all three in one; "
    "torch, PyTorch's layers; auto is fused where it can be used. Losses differ in their last digits.",
}
