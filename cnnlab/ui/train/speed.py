"""Why training is fast here: what the lab does otherwise than the tutorial's loop, and what each thing saves."""

import streamlit as st

_TRICKS = """
The tutorial's loop and the lab's do the same arithmetic. Most of the tutorial's time goes elsewhere:

1. **The images are ready.** The tutorial unpacks each of the 60,000 images again in every epoch. Here they lie in
   memory as one tensor, and a batch is 128 of its rows.
2. **Memory is kept.** Each step needs the same large blocks. Given back to the system and fetched again, they cost
   2,650 interruptions a step; kept, none.
3. **Channels lie side by side.** A processor multiplies eight numbers in one instruction, if they are neighbours. So
   the eight channels of a pixel are stored together, not each channel as an image of its own.
4. **Three layers in one.** A convolution, ReLU and pooling would write all their results to memory, to keep one in
   four. The lab's kernel holds the four sums of a window in the processor until the largest is known. On the way back
   it visits the windows' winners alone: all other gradients are 0.
5. **Small layers in one.** The three linear layers, the loss and the way back through them are ten small products. To
   call a library for each costs more than the arithmetic; one kernel does them all.
6. **One call for the whole step.** Each thread takes its share of the batch through all layers, forward and back, while
   the numbers are still in its core's cache. The threads meet once a step, not after every layer.
7. **The weights lie in one row.** Where a step of the optimizer would read and write all 29,322 six times, it does so
   once.
8. **Waiting threads make room,** and numbers too small to matter become 0: both would keep a core busy with nothing.
9. **The next run's process is there before you press Start,** with PyTorch loaded, the images at hand and the kernels
   compiled.

1 to 3 are PyTorch as it is, and serve any network. 4 needs a convolution of 3 × 3 or 5 × 5 with stride 1 and ReLU, with
or without a 2 × 2 max pooling; 5 serves the linear layers at a network's end, with ReLU, leaky ReLU, tanh or sigmoid
between them; 6 is for networks of such parts alone. *Backend* in the form switches 4 to 7 off: the losses stay the same
but for their last digits. The kernels are `block.c`, `head.c`, `optimizer.c` and `team.c` in `cnnlab/fused`, to be read
in this order. How much it all saves on this machine: `python -m cnnlab bench`.
"""


def why_it_is_fast() -> None:
    """Show the section, folded."""
    with st.expander("Why it is fast", icon=":material/speed:"):
        st.markdown(_TRICKS)
