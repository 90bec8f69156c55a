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
5. **The weights lie in one row.** The optimizer changes all 29,322 in seven operations, not seven for each of ten
   tensors.
6. **Waiting threads make room,** and numbers too small to matter become 0: both would keep a core busy with nothing.
7. **The next run's process is there before you press Start,** with PyTorch loaded, the images at hand and the kernel
   compiled.

1 to 3 are PyTorch as it is, and serve any network; 4 needs a 3 × 3 convolution, ReLU and 2 × 2 max pooling in a row.
*Backend* in the form switches it off: the losses stay the same but for their last digits. The kernel is
`cnnlab/fused/block.c`, two hundred lines to read. How much it all saves on this machine: `python -m cnnlab bench`.
"""


def why_it_is_fast() -> None:
    """Show the section, folded."""
    with st.expander("Why it is fast", icon=":material/speed:"):
        st.markdown(_TRICKS)
