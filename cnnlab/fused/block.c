/* A convolution, ReLU and max pooling as one kernel, forward and backward.

PyTorch makes three passes over the memory: the convolution writes all its sums, ReLU reads and writes them again, and
the pooling reads them once more to keep one in four. Backward, it walks the same way back, multiplying zeros: three of
four sums lost their window and got no gradient, and of the rest ReLU stopped about half. Three ideas save that.

1. Keep the four sums of a window in registers. They are complete before anything is written, so the largest is found at
   once, and only it goes to memory, with the place it was found at: the winner.
2. Backward, visit the winners only. Each one had a patch of inputs, so each one adds `gradient × patch` to the gradient
   of the weights, and `gradient × weights` to the gradient of that patch. With 2×2 windows that is a quarter of the
   convolution's work, less what ReLU stopped.
3. Let one instruction do eight multiplications. Pixels lie with their channels side by side (N, height, width,
   channels), so forward the lanes are eight output channels, and backward the neighbours of a row of the patch are
   KERNEL × INPUTS numbers without a gap.

Without pooling each sum is a window of its own, and some neighbours are computed at once. The compiler is told the sizes
(HEIGHT, WIDTH, INPUTS, OUTPUTS, KERNEL, PADDING, POOL), so all loops over a window have a known end and are unrolled.
`cnnlab/fused/compiler.py` compiles this file for each block of a network and `block.py` calls it. */

#include "team.h"

enum {
    PADDED_HEIGHT = HEIGHT + 2 * PADDING,
    PADDED_WIDTH = WIDTH + 2 * PADDING,
    LINE = PADDED_WIDTH * INPUTS,     // numbers in a line of the padded image
    PADDED = PADDED_HEIGHT * LINE,    // in all of it
    IMAGE = HEIGHT * WIDTH * INPUTS,  // and in the image without its padding
    ROW = KERNEL * INPUTS,            // in one of the rows of a patch
    ROW_VECTORS = VECTORS_FOR(ROW),
    OUTPUT_VECTORS = VECTORS_FOR(OUTPUTS),
    POOLED_HEIGHT = (PADDED_HEIGHT - KERNEL + 1) / POOL,
    POOLED_WIDTH = (PADDED_WIDTH - KERNEL + 1) / POOL,
    WINDOWS = POOLED_HEIGHT * POOLED_WIDTH,
    // Eight vectors of sums at once: an addition takes four cycles, and two can begin in each.
    VECTORS = OUTPUT_VECTORS == 1 ? 1 : 2,
    GROUPS = (OUTPUT_VECTORS + VECTORS - 1) / VECTORS,
    PADDED_OUTPUTS = GROUPS * VECTORS * LANES,
    WINDOW = POOL * POOL,             // patches in a window
    AT_ONCE = 8 / VECTORS / WINDOW < POOLED_WIDTH ? 8 / VECTORS / WINDOW : POOLED_WIDTH,  // windows
    PATCHES = AT_ONCE * WINDOW,
    // As many rows of a patch as leave room in the registers for their weights and sums, or one after the other.
    ROWS_AT_ONCE = KERNEL * ROW_VECTORS <= 9 ? KERNEL : 1,
    NOBODY = -1,                      // the winner of a window in which ReLU stopped all
};

typedef struct {
    const float *images;         // (count, HEIGHT, WIDTH, INPUTS)
    const float *weight;         // (OUTPUTS, INPUTS, KERNEL, KERNEL), as PyTorch keeps it
    const float *bias;           // (OUTPUTS,)
    float *pooled;               // (count, POOLED_HEIGHT, POOLED_WIDTH, OUTPUTS), or with the outputs before the height
    int32_t *winners;            // (count, POOLED_HEIGHT, POOLED_WIDTH, OUTPUTS): where in its padded image the winner's
                                 // patch begins, or NOBODY
    const float *pooled_gradient;  // as pooled
    float *weight_gradient;      // the first slice's, as weight
    float *bias_gradient;        // the first slice's, as bias
    float *images_gradient;      // NULL where nobody asks for it, as for the first layer
    int64_t gradient_stride;     // how many numbers lie between a slice's gradients and the next one's
    int32_t count;
    int32_t outputs_first;       // whether pooled has the outputs before the height, as most layers of PyTorch want them
    int32_t slices;
} Batch;

_Static_assert(sizeof(Batch) == CALL_BYTES, "block.py has another Batch");

static void copy_padded(const float *restrict image, float *restrict padded) {
    for (int y = 0; y < HEIGHT; y++)
        __builtin_memcpy(padded + (y + PADDING) * LINE + PADDING * INPUTS, image + y * WIDTH * INPUTS,
                         WIDTH * INPUTS * sizeof(float));
}

/* Where one of the patches that are computed at once begins, from the first one on. */
static inline int corner_of(int patch) {
    const int window = patch / WINDOW, down = patch % WINDOW / POOL, across = patch % POOL;
    return (window * POOL + across) * INPUTS + down * LINE;
}

/* Forward: the sums of some patches, started at the bias, stay in registers until the largest of a window is known. */
static void forward_image(const float *restrict image, const float weight[KERNEL * ROW][PADDED_OUTPUTS],
                          const float *restrict bias, float *restrict pooled, int32_t *restrict winners) {
    for (int y = 0; y < POOLED_HEIGHT; y++)
        for (int next = 0; next < POOLED_WIDTH; next += AT_ONCE)
            for (int first = 0; first < PADDED_OUTPUTS; first += VECTORS * LANES) {
                // The last windows of a line may be computed twice: that is easier than to compute fewer.
                const int x = next < POOLED_WIDTH - AT_ONCE ? next : POOLED_WIDTH - AT_ONCE;
                const int place = POOL * (y * LINE + x * INPUTS);
                Vector sums[PATCHES][VECTORS];
                for (int patch = 0; patch < PATCHES; patch++)
                    for (int v = 0; v < VECTORS; v++) sums[patch][v] = load(bias + first + v * LANES);

                for (int row = 0; row < KERNEL; row++)
                    for (int k = 0; k < ROW; k++) {
                        const float *pixel = image + place + row * LINE + k;
                        const float *weights = weight[row * ROW + k] + first;
                        UNROLL for (int patch = 0; patch < PATCHES; patch++)
                            UNROLL for (int v = 0; v < VECTORS; v++)
                                sums[patch][v] += pixel[corner_of(patch)] * load(weights + v * LANES);
                    }

                UNROLL for (int window = 0; window < AT_ONCE; window++)
                    UNROLL for (int v = 0; v < VECTORS; v++) {
                        Vector most = sums[window * WINDOW][v];
                        Places winner = place + corner_of(window * WINDOW);
                        for (int patch = window * WINDOW + 1; patch < (window + 1) * WINDOW; patch++) {
                            const Vector sum = sums[patch][v];
                            // As in PyTorch, of equals the first wins, and NaN over all, so that it is not hidden.
                            const Places wins = (sum > most) | (sum != sum);
                            most = wins ? sum : most;
                            winner = wins ? (Places)(place + corner_of(patch)) : winner;
                        }
                        const Places stopped = most <= 0;
                        most = stopped ? (Vector)0 : most;
                        winner = stopped ? (Places)NOBODY : winner;
                        const int output = first + v * LANES, to = (y * POOLED_WIDTH + x + window) * OUTPUTS + output;
                        const int lanes = OUTPUTS - output < LANES ? OUTPUTS - output : LANES;
                        for (int lane = 0; lane < lanes; lane++) pooled[to + lane] = most[lane];
                        for (int lane = 0; lane < lanes; lane++) winners[to + lane] = winner[lane];
                    }
            }
}

void forward(const Batch *batch, int slice) {
    float weight[KERNEL * ROW][PADDED_OUTPUTS] = {0}, bias[PADDED_OUTPUTS] = {0};
    for (int output = 0; output < OUTPUTS; output++) {
        bias[output] = batch->bias[output];
        for (int input = 0; input < INPUTS; input++)
            for (int k = 0; k < KERNEL * KERNEL; k++)
                weight[k * INPUTS + input][output] = batch->weight[(output * INPUTS + input) * KERNEL * KERNEL + k];
    }
    float padded[PADDING ? PADDED : 1] = {0};
    const int64_t end = first_of(slice + 1, batch->count, batch->slices);
    for (int64_t n = first_of(slice, batch->count, batch->slices); n < end; n++) {
        const float *image = batch->images + n * IMAGE;
        if (PADDING) copy_padded(image, padded);
        float outputs_last[WINDOWS * OUTPUTS], *pooled = batch->pooled + n * WINDOWS * OUTPUTS;
        forward_image(PADDING ? padded : image, weight, bias, batch->outputs_first ? outputs_last : pooled,
                      batch->winners + n * WINDOWS * OUTPUTS);
        if (batch->outputs_first)
            for (int output = 0; output < OUTPUTS; output++)
                for (int window = 0; window < WINDOWS; window++)
                    pooled[output * WINDOWS + window] = outputs_last[window * OUTPUTS + output];
    }
}

/* Backward: for each output channel and row of its patches, the weights and their gradient stay in registers while the
winners pass by. The last vector of a row may reach past the row: what it adds to the weights' gradient there is never
read, and what it adds to the image's gradient is zero, as the weights there are. */
static inline __attribute__((always_inline)) void backward_image(
    const float *restrict image, const float weight[OUTPUTS][KERNEL][ROW_VECTORS * LANES],
    const float *restrict pooled_gradient, int outputs_first, const int32_t *restrict winners,
    float weight_gradient[OUTPUTS][KERNEL][ROW_VECTORS * LANES], float *restrict bias_gradient,
    float *restrict image_gradient) {
    for (int output = 0; output < OUTPUTS; output++) {
        // Whether a window has a winner cannot be guessed, and a wrong guess costs as much as the work on a patch. So the
        // winners are first put in a list, without asking.
        int places[WINDOWS], winning = 0;
        float gradients[WINDOWS], bias_sum = 0;
        for (int window = 0; window < WINDOWS; window++) {
            places[winning] = winners[window * OUTPUTS + output];
            gradients[winning] = pooled_gradient[outputs_first ? output * WINDOWS + window : window * OUTPUTS + output];
            winning += places[winning] != NOBODY;
        }
        for (int n = 0; n < winning; n++) bias_sum += gradients[n];
        bias_gradient[output] += bias_sum;
        for (int first = 0; first < KERNEL; first += ROWS_AT_ONCE) {
            Vector weights[ROWS_AT_ONCE][ROW_VECTORS], sums[ROWS_AT_ONCE][ROW_VECTORS];
            for (int row = 0; row < ROWS_AT_ONCE; row++)
                for (int v = 0; v < ROW_VECTORS; v++) {
                    weights[row][v] = load(weight[output][first + row] + v * LANES);
                    sums[row][v] = load(weight_gradient[output][first + row] + v * LANES);
                }
            for (int n = 0; n < winning; n++)
                UNROLL for (int row = 0; row < ROWS_AT_ONCE; row++)
                    UNROLL for (int v = 0; v < ROW_VECTORS; v++) {
                        const int place = places[n] + (first + row) * LINE + v * LANES;
                        sums[row][v] += gradients[n] * load(image + place);
                        if (image_gradient)
                            store(image_gradient + place, load(image_gradient + place) + gradients[n] * weights[row][v]);
                    }
            for (int row = 0; row < ROWS_AT_ONCE; row++)
                for (int v = 0; v < ROW_VECTORS; v++)
                    store(weight_gradient[output][first + row] + v * LANES, sums[row][v]);
        }
    }
}

void backward(const Batch *batch, int slice) {
    float weight[OUTPUTS][KERNEL][ROW_VECTORS * LANES] = {0};
    for (int output = 0; output < OUTPUTS; output++)
        for (int input = 0; input < INPUTS; input++)
            for (int k = 0; k < KERNEL * KERNEL; k++)
                weight[output][k / KERNEL][k % KERNEL * INPUTS + input] =
                    batch->weight[(output * INPUTS + input) * KERNEL * KERNEL + k];

    float weight_gradient[OUTPUTS][KERNEL][ROW_VECTORS * LANES] = {0}, bias_gradient[OUTPUTS] = {0};
    // Copies with room behind them, for the vectors that reach past the last row.
    float image[PADDED + LANES] = {0}, image_gradient[PADDED + LANES];
    const int64_t end = first_of(slice + 1, batch->count, batch->slices);
    for (int64_t n = first_of(slice, batch->count, batch->slices); n < end; n++) {
        const float *pooled_gradient = batch->pooled_gradient + n * WINDOWS * OUTPUTS;
        const int32_t *winners = batch->winners + n * WINDOWS * OUTPUTS;
        copy_padded(batch->images + n * IMAGE, image);
        if (batch->images_gradient) {
            __builtin_memset(image_gradient, 0, sizeof image_gradient);
            backward_image(image, weight, pooled_gradient, batch->outputs_first, winners, weight_gradient, bias_gradient,
                           image_gradient);
            for (int y = 0; y < HEIGHT; y++)
                __builtin_memcpy(batch->images_gradient + n * IMAGE + y * WIDTH * INPUTS,
                                 image_gradient + (y + PADDING) * LINE + PADDING * INPUTS,
                                 WIDTH * INPUTS * sizeof(float));
        } else
            backward_image(image, weight, pooled_gradient, batch->outputs_first, winners, weight_gradient, bias_gradient,
                           0);
    }
    float *to_weight = batch->weight_gradient + slice * batch->gradient_stride;
    float *to_bias = batch->bias_gradient + slice * batch->gradient_stride;
    for (int output = 0; output < OUTPUTS; output++) {
        to_bias[output] = bias_gradient[output];
        for (int input = 0; input < INPUTS; input++)
            for (int k = 0; k < KERNEL * KERNEL; k++)
                to_weight[(output * INPUTS + input) * KERNEL * KERNEL + k] =
                    weight_gradient[output][k / KERNEL][k % KERNEL * INPUTS + input];
    }
}
