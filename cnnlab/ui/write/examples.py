"""Networks to start from."""

from cnnlab.models.definitions import DEFINITIONS

_LENET = """\
class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        x = F.avg_pool2d(torch.tanh(self.conv2(x)), 2)
        x = x.flatten(start_dim=1)
        x = torch.tanh(self.fc1(x))
        x = torch.tanh(self.fc2(x))
        return self.fc3(x)
"""
_ALL_CONVOLUTIONAL = """\
nn.Sequential(
    nn.Conv2d(1, 8, kernel_size=3, stride=2),
    nn.ReLU(),
    nn.Conv2d(8, 16, kernel_size=3, stride=2),
    nn.ReLU(),
    nn.Conv2d(16, 32, kernel_size=3),
    nn.ReLU(),
    nn.Conv2d(32, 10, kernel_size=1),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
)
"""
_NORMALIZED = """\
nn.Sequential(
    nn.Conv2d(1, 8, kernel_size=3),
    nn.BatchNorm2d(8),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(8, 16, kernel_size=3),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Dropout(0.25),
    nn.Linear(16 * 5 * 5, 64),
    nn.ReLU(),
    nn.Linear(64, 10),
)
"""
_BRANCHES = """\
class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.narrow = nn.Conv2d(1, 6, kernel_size=3, padding=1)
        self.wide = nn.Conv2d(1, 6, kernel_size=7, padding=3)
        self.conv = nn.Conv2d(12, 16, kernel_size=3)
        self.fc = nn.Linear(16 * 6 * 6, 10)

    def forward(self, x):
        narrow = F.relu(self.narrow(x))
        wide = F.relu(self.wide(x))
        x = F.max_pool2d(torch.cat([narrow, wide], dim=1), 2)
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.fc(x.flatten(start_dim=1))
"""
_PERCEPTRON = """\
nn.Sequential(
    nn.Flatten(),
    nn.Linear(28 * 28, 36),
    nn.ReLU(),
    nn.Linear(36, 10),
)
"""
EXAMPLES: dict[str, str] = {
    "The tutorial's nn.Sequential": DEFINITIONS["sequential"].source,
    "The tutorial's nn.Module": DEFINITIONS["module"].source,
    "LeNet-5": _LENET,
    "All convolutional": _ALL_CONVOLUTIONAL,
    "Batch normalization and dropout": _NORMALIZED,
    "Residual": DEFINITIONS["residual"].source,
    "Two branches joined by cat": _BRANCHES,
    "Multi-layer perceptron": _PERCEPTRON,
}
