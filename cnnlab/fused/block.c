/* A 3×3 convolution, ReLU and 2×2 max pooling as one kernel, forward and backward.

PyTorch makes three passes over the memory: the convolution writes all its sums, ReLU reads and writes them again, and
the pooling reads them once more to keep one in four. Backward, it walks the same way back, multiplying zeros: three of
four sums lost their window and got no gradient, and of the rest ReLU stopped about half. Three ideas save that.

1. Keep the four sums of a window in registers. They are complete before anything is written, so the largest is found at
   once, and only it goes to memory, with the place it was found at: the winner.
2. Backward, visit the winners only. Each one had a patch of 3×3 inputs, so each one adds `gradient × patch` to the
   gradient of the weights, and `gradient × weights` to the gradient of that patch. A quarter of the convolution's work,
   less what ReLU stopped.
3. Let one instruction do eight multiplications. Pixels lie with their channels side by side (N, height, width,
   channels), so forward the lanes are eight output channels, and backward the three neighbours of a row of the patch
   are 3 × INPUTS numbers without a gap.

The compiler is told the sizes (HEIGHT, WIDTH, INPUTS, OUTPUTS), so all loops over a window have a known end and are
unrolled. `cnnlab/fused/compiler.py` compiles this file for each block of a network and calls it. */

#include <stdatomic.h>
#include <stdint.h>

#define LANES 8
#define VECTORS_FOR(numbers) (((numbers) + LANES - 1) / LANES)
#define UNROLL _Pragma("clang loop unroll(full)")

typedef float Vector __attribute__((ext_vector_type(LANES)));
typedef int32_t Places __attribute__((ext_vector_type(LANES)));

enum {
    LINE = WIDTH * INPUTS,   // numbers in a line of the image
    IMAGE = HEIGHT * LINE,   // and in all of it
    ROW = 3 * INPUTS,        // in one of the three rows of a patch
    ROW_VECTORS = VECTORS_FOR(ROW),
    OUTPUT_VECTORS = VECTORS_FOR(OUTPUTS),
    POOLED_HEIGHT = (HEIGHT - 2) / 2,
    POOLED_WIDTH = (WIDTH - 2) / 2,
    WINDOWS = POOLED_HEIGHT * POOLED_WIDTH,
    NOBODY = -1,             // the winner of a window in which ReLU stopped all four
};

/* One call: a batch, shared out in slices. Whoever of the team is free takes the next slice. Which images a slice holds,
and in which order its sums are added, depends on the number of slices alone, so that a run can be repeated to the last
bit, whoever took what. */
typedef struct {
    const float *images;         // (count, HEIGHT, WIDTH, INPUTS)
    const float *weight;         // (OUTPUTS, INPUTS, 3, 3), as PyTorch keeps it
    const float *bias;           // (OUTPUTS,)
    float *pooled;               // (count, POOLED_HEIGHT, POOLED_WIDTH, OUTPUTS), or with the outputs before the height
    int32_t *winners;            // (count, POOLED_HEIGHT, POOLED_WIDTH, OUTPUTS): where in its image the winner's patch
                                 // begins, or NOBODY
    const float *pooled_gradient;  // as pooled
    float *weight_gradients;     // (slices, OUTPUTS, INPUTS, 3, 3)
    float *bias_gradients;       // (slices, OUTPUTS)
    float *images_gradient;      // NULL where nobody asks for it, as for the first layer
    int32_t count;
    int32_t outputs_first;       // whether pooled has the outputs before the height, as most layers of PyTorch want them
    int32_t slices;
    atomic_int taken;
} Batch;

_Static_assert(sizeof(Batch) == BATCH_BYTES, "compiler.py has another Batch");

static inline Vector load(const float *from) {
    Vector vector;
    __builtin_memcpy(&vector, from, sizeof vector);
    return vector;
}

static inline void store(float *to, Vector vector) { __builtin_memcpy(to, &vector, sizeof vector); }

static int first_image(const Batch *batch, int slice) { return (int64_t)batch->count * slice / batch->slices; }

/* Forward: for each window four sums, started at the bias, that stay in registers until the largest is known. */
static void forward_image(const float *restrict image, const float weight[3 * ROW][OUTPUT_VECTORS * LANES],
                          const float *restrict bias, float *restrict pooled, int32_t *restrict winners) {
    static const int corners[4] = {0, INPUTS, LINE, LINE + INPUTS};  // of the four patches, from the first one's
    for (int y = 0; y < POOLED_HEIGHT; y++)
        for (int x = 0; x < POOLED_WIDTH; x++, pooled += OUTPUTS, winners += OUTPUTS) {
            const int place = 2 * y * LINE + 2 * x * INPUTS;
            Vector sums[4][OUTPUT_VECTORS];
            for (int patch = 0; patch < 4; patch++)
                for (int v = 0; v < OUTPUT_VECTORS; v++) sums[patch][v] = load(bias + v * LANES);

            for (int row = 0; row < 3; row++)
                for (int k = 0; k < ROW; k++) {
                    const float *pixel = image + place + row * LINE + k;
                    const float *weights = weight[row * ROW + k];
                    UNROLL for (int patch = 0; patch < 4; patch++)
                        UNROLL for (int v = 0; v < OUTPUT_VECTORS; v++)
                            sums[patch][v] += pixel[corners[patch]] * load(weights + v * LANES);
                }

            for (int v = 0; v < OUTPUT_VECTORS; v++) {
                Vector most = sums[0][v];
                Places winner = place;
                for (int patch = 1; patch < 4; patch++) {
                    const Vector sum = sums[patch][v];
                    // As in PyTorch, of equals the first one wins, and NaN wins over all, so that it is not hidden.
                    const Places wins = (sum > most) | (sum != sum);
                    most = wins ? sum : most;
                    winner = wins ? (Places)(place + corners[patch]) : winner;
                }
                const Places stopped = most <= 0;
                most = stopped ? (Vector)0 : most;
                winner = stopped ? (Places)NOBODY : winner;
                const int lanes = OUTPUTS - v * LANES < LANES ? OUTPUTS - v * LANES : LANES;
                __builtin_memcpy(pooled + v * LANES, &most, lanes * sizeof(float));
                __builtin_memcpy(winners + v * LANES, &winner, lanes * sizeof(int32_t));
            }
        }
}

void forward(Batch *batch) {
    float weight[3 * ROW][OUTPUT_VECTORS * LANES] = {0}, bias[OUTPUT_VECTORS * LANES] = {0};
    for (int output = 0; output < OUTPUTS; output++) {
        bias[output] = batch->bias[output];
        for (int input = 0; input < INPUTS; input++)
            for (int k = 0; k < 9; k++)
                weight[k * INPUTS + input][output] = batch->weight[(output * INPUTS + input) * 9 + k];
    }
    for (int slice; (slice = atomic_fetch_add(&batch->taken, 1)) < batch->slices;)
        for (int64_t n = first_image(batch, slice); n < first_image(batch, slice + 1); n++) {
            float outputs_last[WINDOWS * OUTPUTS], *pooled = batch->pooled + n * WINDOWS * OUTPUTS;
            forward_image(batch->images + n * IMAGE, weight, bias, batch->outputs_first ? outputs_last : pooled,
                          batch->winners + n * WINDOWS * OUTPUTS);
            if (batch->outputs_first)
                for (int output = 0; output < OUTPUTS; output++)
                    for (int window = 0; window < WINDOWS; window++)
                        pooled[output * WINDOWS + window] = outputs_last[window * OUTPUTS + output];
        }
}

/* Backward: for each output channel, its nine rows of weights and of their gradient stay in registers while its winners
pass by. The last vector of a row may reach past the row: what it adds to the weights' gradient there is never read, and
what it adds to the image's gradient is zero, as the weights there are. */
static inline __attribute__((always_inline)) void backward_image(
    const float *restrict image, const float weight[OUTPUTS][3][ROW_VECTORS * LANES],
    const float *restrict pooled_gradient, int outputs_first, const int32_t *restrict winners,
    float weight_gradient[OUTPUTS][3][ROW_VECTORS * LANES], float *restrict bias_gradient,
    float *restrict image_gradient) {
    for (int output = 0; output < OUTPUTS; output++) {
        Vector weights[3][ROW_VECTORS], sums[3][ROW_VECTORS];
        float bias_sum = 0;
        for (int row = 0; row < 3; row++)
            for (int v = 0; v < ROW_VECTORS; v++) {
                weights[row][v] = load(weight[output][row] + v * LANES);
                sums[row][v] = load(weight_gradient[output][row] + v * LANES);
            }
        // Whether a window has a winner cannot be guessed, and a wrong guess costs as much as the work on a patch. So the
        // winners are first put in a list, without asking.
        int places[WINDOWS], winning = 0;
        float gradients[WINDOWS];
        for (int window = 0; window < WINDOWS; window++) {
            places[winning] = winners[window * OUTPUTS + output];
            gradients[winning] = pooled_gradient[outputs_first ? output * WINDOWS + window : window * OUTPUTS + output];
            winning += places[winning] != NOBODY;
        }
        for (int n = 0; n < winning; n++) {
            const float gradient = gradients[n];
            bias_sum += gradient;
            UNROLL for (int row = 0; row < 3; row++)
                UNROLL for (int v = 0; v < ROW_VECTORS; v++) {
                    const int place = places[n] + row * LINE + v * LANES;
                    sums[row][v] += gradient * load(image + place);
                    if (image_gradient)
                        store(image_gradient + place, load(image_gradient + place) + gradient * weights[row][v]);
                }
        }
        for (int row = 0; row < 3; row++)
            for (int v = 0; v < ROW_VECTORS; v++) store(weight_gradient[output][row] + v * LANES, sums[row][v]);
        bias_gradient[output] += bias_sum;
    }
}

static void backward_slice(const Batch *batch, int slice, const float weight[OUTPUTS][3][ROW_VECTORS * LANES]) {
    float weight_gradient[OUTPUTS][3][ROW_VECTORS * LANES] = {0}, bias_gradient[OUTPUTS] = {0};
    // Copies with room behind them, for the vectors that reach past the last row.
    float image[IMAGE + LANES] = {0}, image_gradient[IMAGE + LANES];
    for (int64_t n = first_image(batch, slice); n < first_image(batch, slice + 1); n++) {
        const float *pooled_gradient = batch->pooled_gradient + n * WINDOWS * OUTPUTS;
        const int32_t *winners = batch->winners + n * WINDOWS * OUTPUTS;
        __builtin_memcpy(image, batch->images + n * IMAGE, IMAGE * sizeof(float));
        if (batch->images_gradient) {
            __builtin_memset(image_gradient, 0, sizeof image_gradient);
            backward_image(image, weight, pooled_gradient, batch->outputs_first, winners, weight_gradient, bias_gradient,
                           image_gradient);
            __builtin_memcpy(batch->images_gradient + n * IMAGE, image_gradient, IMAGE * sizeof(float));
        } else
            backward_image(image, weight, pooled_gradient, batch->outputs_first, winners, weight_gradient, bias_gradient,
                           0);
    }
    for (int output = 0; output < OUTPUTS; output++) {
        batch->bias_gradients[slice * OUTPUTS + output] = bias_gradient[output];
        for (int input = 0; input < INPUTS; input++)
            for (int k = 0; k < 9; k++)
                batch->weight_gradients[((slice * OUTPUTS + output) * INPUTS + input) * 9 + k] =
                    weight_gradient[output][k / 3][k % 3 * INPUTS + input];
    }
}

void backward(Batch *batch) {
    float weight[OUTPUTS][3][ROW_VECTORS * LANES] = {0};
    for (int output = 0; output < OUTPUTS; output++)
        for (int input = 0; input < INPUTS; input++)
            for (int k = 0; k < 9; k++)
                weight[output][k / 3][k % 3 * INPUTS + input] = batch->weight[(output * INPUTS + input) * 9 + k];
    for (int slice; (slice = atomic_fetch_add(&batch->taken, 1)) < batch->slices;)
        backward_slice(batch, slice, weight);
}
