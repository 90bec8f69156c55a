"""Networks for MNIST in the style of public tutorials, and what the lab says of those that it does not read."""

# The tutorial's own, word for word.
TUTORIALS_LIST = """
import torch.nn as nn
# define the model
model1 = nn.Sequential(
    nn.Conv2d(1,8,3),nn.ReLU(),nn.MaxPool2d((2,2)),
    nn.Conv2d(8,16,3),nn.ReLU(),nn.MaxPool2d((2,2)),
    nn.Flatten(),
    nn.Linear(5*5*16,64),nn.ReLU(),
    nn.Linear(64,32),nn.ReLU(),
    nn.Linear(32,10))
import torch.optim as optim
# use CrossEntropyLoss here since we don't apply softmax for the last layer
criterion = nn.CrossEntropyLoss(reduction='mean')
# choose RMSprop optimizer
optimizer = optim.RMSprop(model1.parameters(),lr=0.001,momentum=0.9)
"""
TUTORIALS_CLASS = """
import torch.nn as nn
import torch.nn.functional as F
# channel first
class Net(nn.Module):
    def __init__(self):
        super(Net,self).__init__()
        # layers
        self.conv1 = nn.Conv2d(1,8,3)   # (1,28,28) => (8,26,26)
        self.conv2 = nn.Conv2d(8,16,3)  # (8,13,13) => (16,11,11)
        self.fc1 = nn.Linear(5*5*16,64)
        self.fc2 = nn.Linear(64,32)
        self.fc3 = nn.Linear(32,10)
    def forward(self,x):
        # forward propagation
        x = F.max_pool2d(F.relu(self.conv1(x)),(2,2))
        x = F.max_pool2d(F.relu(self.conv2(x)),(2,2))
        # flatten
        x = x.view(-1, torch.numel(x[0]))
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = self.fc3(x)
        return x
model2 = Net()
# use the same code for training
# 1	loss:	0.2158
"""


def a_class(init: str, forward: str, head: str = "import torch.nn as nn\nimport torch.nn.functional as F\n") -> str:
    """Return a class with these lines in its two methods."""
    indent = "\n        "
    return (
        f"{head}\nclass Model(nn.Module):\n    def __init__(self):{indent}super(Model, self).__init__(){indent}"
        f"{init.strip().replace(chr(10), indent)}\n\n    def forward(self, x):{indent}"
        f"{forward.strip().replace(chr(10), indent)}\n"
    )


# The source, and None where it can be trained, else how the answer begins after "Line N: ".
LISTINGS: dict[str, tuple[str, str | None]] = {
    "softmax regression": ("model = nn.Sequential(nn.Flatten(), nn.Linear(28*28, 10))", None),
    "two hidden layers": (
        "import torch\nmodel = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 30), torch.nn.ReLU(),\n"
        "    torch.nn.Linear(30, 20), torch.nn.ReLU(), torch.nn.Linear(20, 10))",
        None,
    ),
    "a device behind it": (
        "device = torch.device('cpu')\nmodel = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).to(device)",
        None,
    ),
    "names from torch.nn": (
        "from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential\n"
        "net = Sequential(Conv2d(1, 4, 5), ReLU(), MaxPool2d(2), Flatten(), Linear(4*12*12, 10))",
        None,
    ),
    "an OrderedDict": (
        "from collections import OrderedDict\nmodel = nn.Sequential(OrderedDict([\n"
        "    ('conv', nn.Conv2d(1, 6, 3)), ('relu', nn.ReLU()), ('flat', nn.Flatten()), ('out', nn.Linear(6*26*26, 10)),\n]))",
        None,
    ),
    "lists in a list": (
        "nn.Sequential(\n    nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),\n"
        "    nn.Sequential(nn.Conv2d(4, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU()),\n"
        "    nn.Flatten(), nn.Linear(8*12*12, 10))",
        None,
    ),
    "a function": (
        "def build_model(hidden=50):\n    '''A small network.'''\n    return nn.Sequential(nn.Flatten(), nn.Linear(784, hidden),"
        " nn.Tanh(), nn.Linear(hidden, 10))",
        None,
    ),
    "same padding": (
        "nn.Sequential(nn.Conv2d(1, 8, 3, padding='same'), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), "
        "nn.Linear(128, 10))",
        None,
    ),
    "global average": (
        "nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 10, 1), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(1))",
        None,
    ),
    "dropout": (
        "nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(inplace=True), nn.Dropout(p=0.2), nn.Linear(64, 10))",
        None,
    ),
    "a view by hand": (
        a_class(
            "self.fc1 = nn.Linear(784, 50)\nself.fc2 = nn.Linear(50, 10)",
            "x = x.view(-1, 784)\nx = F.relu(self.fc1(x))\nreturn self.fc2(x)",
        ),
        None,
    ),
    "a view by size": (
        a_class(
            "self.fc = nn.Linear(784, 10)", "batch_size = x.size(0)\nx = x.view(batch_size, -1)\nreturn self.fc(x)"
        ),
        None,
    ),
    "pool as a layer used twice": (
        a_class(
            "self.conv1 = nn.Conv2d(1, 6, 5)\nself.pool = nn.MaxPool2d(2, 2)\nself.conv2 = nn.Conv2d(6, 16, 5)\n"
            "self.fc1 = nn.Linear(16 * 4 * 4, 84)\nself.fc2 = nn.Linear(84, 10)",
            "x = self.pool(F.relu(self.conv1(x)))\nx = self.pool(F.relu(self.conv2(x)))\nx = torch.flatten(x, 1)\n"
            "x = F.relu(self.fc1(x))\nx = self.fc2(x)\nreturn x",
        ),
        None,
    ),
    "features and classifier": (
        a_class(
            "self.features = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2))\n"
            "self.classifier = nn.Sequential(nn.Linear(8 * 13 * 13, 32), nn.ReLU(), nn.Linear(32, 10))",
            "x = self.features(x)\nx = x.flatten(1)\nreturn self.classifier(x)",
        ),
        None,
    ),
    "dropout in forward": (
        a_class(
            "self.fc1 = nn.Linear(784, 50)\nself.fc2 = nn.Linear(50, 10)",
            "x = F.relu(self.fc1(x.flatten(1)))\nx = F.dropout(x, training=self.training)\nreturn self.fc2(x)",
        ),
        None,
    ),
    "log softmax at the end": (
        a_class("self.fc = nn.Linear(784, 10)", "return F.log_softmax(self.fc(torch.flatten(x, 1)), dim=1)"),
        None,
    ),
    "an activation as an attribute": (
        a_class(
            "self.act = nn.GELU()\nself.fc1 = nn.Linear(784, 40)\nself.fc2 = nn.Linear(40, 10)",
            "out = self.fc1(x.flatten(start_dim=1))\nout = self.act(out)\nreturn self.fc2(out)",
        ),
        None,
    ),
    "sizes as attributes": (
        a_class(
            "self.size = 28 * 28\nself.fc = nn.Linear(28 * 28, 10)", "x = x.view(-1, self.size)\nreturn self.fc(x)"
        ),
        None,
    ),
    "sizes with names": (
        "CHANNELS = 8\nCLASSES = 10\nmodel = nn.Sequential(nn.Conv2d(1, CHANNELS, 3), nn.ReLU(), nn.Flatten(), "
        "nn.Linear(CHANNELS * 26 * 26, CLASSES))",
        None,
    ),
    "classes by default": (
        "class Net(nn.Module):\n    def __init__(self, num_classes=10):\n        super().__init__()\n"
        "        self.fc = nn.Linear(784, num_classes)\n\n    def forward(self, x):\n        return self.fc(x.flatten(1))\n",
        None,
    ),
    "annotated": (
        "import torch\nfrom torch import nn, Tensor\n\nclass Net(nn.Module):\n    def __init__(self) -> None:\n"
        "        super().__init__()\n        self.fc = nn.Linear(784, 10)\n\n"
        "    def forward(self, images: Tensor) -> Tensor:\n        rows: Tensor = images.flatten(1)\n        return self.fc(rows)\n",
        None,
    ),
    "a skip": (
        a_class(
            "self.a = nn.Conv2d(1, 1, 3, padding=1)\nself.fc = nn.Linear(784, 10)",
            "identity = x\nx = F.relu(self.a(x))\nx += identity\nreturn self.fc(x.flatten(1))",
        ),
        None,
    ),
    "two ways joined": (
        a_class(
            "self.a = nn.Conv2d(1, 2, 3, padding=1)\nself.b = nn.Conv2d(1, 2, 5, padding=2)\nself.fc = nn.Linear(4 * 784, 10)",
            "x = torch.cat((self.a(x), self.b(x)), 1)\nreturn self.fc(F.relu(x).flatten(1))",
        ),
        None,
    ),
    "strides instead of pools": (
        "nn.Sequential(nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10))",
        None,
    ),
    "separable": (
        "nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 16, 1), nn.ReLU(), "
        "nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10))",
        None,
    ),
    "loss and optimizer": (
        "model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\nloss_fn = nn.CrossEntropyLoss()\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)\nprint(model)",
        None,
    ),
    "a loop over layers": (
        a_class("self.layers = nn.ModuleList([nn.Linear(784, 10)])", "return self.layers[0](x.flatten(1))"),
        "torch.nn.ModuleList is no layer",
    ),
    "layers in a list": (
        "layers = [nn.Flatten(), nn.Linear(784, 10)]\nmodel = nn.Sequential(*layers)",
        "this call is not",
    ),
    "blocks of one's own": (
        "class Block(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.c = nn.Conv2d(1, 1, 3)\n"
        "    def forward(self, x):\n        return F.relu(self.c(x))\n\n"
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.b = Block()\n"
        "    def forward(self, x):\n        return self.b(x)\n",
        "Block is no layer that the lab knows",
    ),
    "rows of time": (
        a_class(
            "self.lstm = nn.LSTM(28, 64, batch_first=True)\nself.fc = nn.Linear(64, 10)",
            "out, _ = self.lstm(x.squeeze(1))\nreturn self.fc(out[:, -1])",
        ),
        "torch.nn.LSTM is no layer",
    ),
    "flat features counted": (
        a_class("self.fc = nn.Linear(784, 10)", "x = x.view(-1, self.num_flat_features(x))\nreturn self.fc(x)"),
        "self.num_flat_features is made nowhere",
    ),
    "Lightning": (
        "import lightning as L\nclass Net(L.LightningModule):\n    pass",
        "lightning is imported",
    ),
    "a choice in forward": (
        a_class("self.fc = nn.Linear(784, 10)", "if self.training:\n    x = x + 1\nreturn self.fc(x.flatten(1))"),
        "a condition is not understood",
    ),
}
