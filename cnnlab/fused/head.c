/* The linear layers at the end of a network, with their activations and the cross entropy, forward and backward.

A linear layer is a product of matrices, and three products make its training: forward `inputs × weightᵀ`; backward
`gradientᵀ × inputs`, the gradient of the weights, and `gradient × weight`, that of the inputs. These products are small:
to call a library for each, with the loss and its gradient between them, costs more than the arithmetic. Here a slice of
the batch goes through all of them at once. Two ideas make the products fast.

1. A tile of the result stays in registers while its sums grow: each number that is loaded then serves several of them,
   where a sum on its own would load two numbers for each multiplication.
2. Forward, the lanes run along the inputs, and the eight partial sums of a lane are added at the end; backward they run
   along the columns of the result. So all matrices are read as they lie, and none has to be turned round.

A matrix's last tiles begin a little earlier where they would reach past its edge: to compute some numbers twice is
easier than to compute fewer. */

#include "team.h"

enum { NONE, RELU, LEAKY_RELU, TANH, SIGMOID };  // as in head.py

typedef struct {
    const float *weight;  // (outputs, inputs), as PyTorch keeps it
    const float *bias;    // (outputs,), or NULL
    float *values;        // (count, outputs): what the layer gives, after its activation
    float *gradient;      // (count, outputs): the loss's, first by the values, then by the sums before the activation
    float *weight_gradient, *bias_gradient;  // the first slice's, as weight and bias
    int32_t inputs, outputs;
    int32_t activation;
    float slope;          // of a leaky ReLU, below 0
} Layer;

typedef struct {
    const Layer *layers;
    const float *inputs;       // (count, inputs of the first layer)
    float *inputs_gradient;    // as inputs; NULL where nobody asks for it
    const int64_t *labels;     // (count,)
    double *losses;            // (slices,): the sum over each slice's images
    int64_t gradient_stride;   // how many numbers lie between a slice's gradients and the next one's
    int32_t layer_count;
    int32_t count;
    int32_t slices;
} Head;

_Static_assert(sizeof(Layer) == LAYER_BYTES && sizeof(Head) == CALL_BYTES, "head.py has another Layer or Head");

/* e to the x within 2e-7 of it: 2^whole by writing the exponent's bits, and the rest, below 0.35, by its series. */
static inline float exp_of(float x) {
    const float in_range = x < -87 ? -87 : x > 88 ? 88 : x;
    const float large = 12582912;  // added, it leaves no digits behind the point: so this rounds
    const float whole = (in_range * 1.44269504f + large) - large;
    const float rest = (in_range - whole * 0.693359375f) + whole * 2.12194440e-4f;  // ln 2 in two parts
    const float series =
        1 + rest * (1 + rest * (1 / 2.f + rest * (1 / 6.f + rest * (1 / 24.f + rest * (1 / 120.f + rest / 720)))));
    const int32_t bits = ((int32_t)whole + 127) << 23;
    float power;
    __builtin_memcpy(&power, &bits, sizeof power);
    return x != x ? x : x < -87 ? 0 : x > 88 ? __builtin_inff() : series * power;
}

/* Near 0 the difference would have no digits left, and the series has few terms. */
static inline float tanh_of(float x) {
    const float square = x * x, near = x * (1 - square * (1 / 3.f - square * (2 / 15.f - square * 17 / 315)));
    const float far = 1 - 2 / (exp_of(2 * x) + 1);
    return square < 0.04f ? near : far;
}

/* The natural logarithm of a number from 1 on: of 2^whole, and of the rest, 1 to 2, by the series of (1 + s) / (1 - s). */
static inline double log_of(double x) {
    if (!(x < __builtin_inf())) return x;
    int64_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    const int whole = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffff) | (int64_t)1023 << 52;
    double rest;
    __builtin_memcpy(&rest, &bits, sizeof rest);
    const double s = (rest - 1) / (rest + 1), square = s * s;
    double series = 0;
    for (int power = 21; power > 0; power -= 2) series = series * square + 1.0 / power;
    return whole * 0.6931471805599453 + 2 * s * series;
}

static void activate(float *values, int count, int activation, float slope) {
    switch (activation) {
        case RELU:
            for (int n = 0; n < count; n++) values[n] = values[n] <= 0 ? 0 : values[n];  // NaN stays
            break;
        case LEAKY_RELU:
            for (int n = 0; n < count; n++) values[n] = values[n] > 0 ? values[n] : values[n] * slope;
            break;
        case TANH:
            for (int n = 0; n < count; n++) values[n] = tanh_of(values[n]);
            break;
        case SIGMOID:
            for (int n = 0; n < count; n++) values[n] = 1 / (1 + exp_of(-values[n]));
    }
}

/* From the gradient by an activation's values to that by what it was given: the values tell how steep it was there. */
static void through_activation(float *restrict gradient, const float *restrict values, int count, int activation,
                               float slope) {
    switch (activation) {
        case RELU:
            for (int n = 0; n < count; n++) gradient[n] = values[n] <= 0 ? 0 : gradient[n];
            break;
        case LEAKY_RELU:
            for (int n = 0; n < count; n++) gradient[n] *= values[n] > 0 ? 1 : slope;
            break;
        case TANH:
            for (int n = 0; n < count; n++) gradient[n] *= 1 - values[n] * values[n];
            break;
        case SIGMOID:
            for (int n = 0; n < count; n++) gradient[n] *= values[n] * (1 - values[n]);
    }
}

static inline float sum_of(Vector v) {
    const float __attribute__((ext_vector_type(4))) four = v.lo + v.hi;
    return (four.x + four.z) + (four.y + four.w);
}

/* result[i][j] = Σ a[i][k] b[j][k], with the lanes along k. */
static void product_along(const float *restrict a, const float *restrict b, float *restrict result, int rows, int columns,
                          int length) {
    enum { DOWN = 4, ACROSS = 2 };
    const int whole = length / LANES * LANES;
    const int down = rows < DOWN ? 1 : DOWN, across = columns < ACROSS ? 1 : ACROSS;
    for (int next = 0; next < rows; next += down)
        for (int column = 0; column < columns; column += across) {
            const int i0 = next < rows - down ? next : rows - down, j0 = column < columns - across ? column : columns - across;
            Vector sums[DOWN][ACROSS] = {0};
            if (down == DOWN && across == ACROSS)
                for (int k = 0; k < whole; k += LANES)
                    UNROLL for (int i = 0; i < DOWN; i++)
                        UNROLL for (int j = 0; j < ACROSS; j++)
                            sums[i][j] += load(a + (i0 + i) * length + k) * load(b + (j0 + j) * length + k);
            else
                for (int k = 0; k < whole; k += LANES)
                    for (int i = 0; i < down; i++)
                        for (int j = 0; j < across; j++)
                            sums[i][j] += load(a + (i0 + i) * length + k) * load(b + (j0 + j) * length + k);
            for (int i = 0; i < down; i++)
                for (int j = 0; j < across; j++) {
                    float sum = sum_of(sums[i][j]);
                    for (int k = whole; k < length; k++) sum += a[(i0 + i) * length + k] * b[(j0 + j) * length + k];
                    result[(i0 + i) * columns + j0 + j] = sum;
                }
        }
}

/* result[i][k] = Σ a[i][j] b[j][k], with the lanes along k; a[i][j] lies at i * a_down + j * a_across. */
static void product_across(const float *restrict a, int a_down, int a_across, const float *restrict b,
                           float *restrict result, int rows, int length, int columns) {
    enum { DOWN = 4, VECTORS = 2, ACROSS = VECTORS * LANES };
    if (rows < DOWN || columns < ACROSS) {
        for (int i = 0; i < rows; i++) {
            for (int k = 0; k < columns; k++) result[i * columns + k] = 0;
            for (int j = 0; j < length; j++)
                for (int k = 0; k < columns; k++)
                    result[i * columns + k] += a[i * a_down + j * a_across] * b[j * columns + k];
        }
        return;
    }
    for (int column = 0; column < columns; column += ACROSS)
        for (int row = 0; row < rows; row += DOWN) {
            const int k0 = column < columns - ACROSS ? column : columns - ACROSS;
            const int i0 = row < rows - DOWN ? row : rows - DOWN;
            Vector sums[DOWN][VECTORS] = {0};
            for (int j = 0; j < length; j++)
                UNROLL for (int i = 0; i < DOWN; i++) {
                    const float of_a = a[(i0 + i) * a_down + j * a_across];
                    UNROLL for (int v = 0; v < VECTORS; v++)
                        sums[i][v] += of_a * load(b + j * columns + k0 + v * LANES);
                }
            UNROLL for (int i = 0; i < DOWN; i++)
                UNROLL for (int v = 0; v < VECTORS; v++)
                    store(result + (i0 + i) * columns + k0 + v * LANES, sums[i][v]);
        }
}

/* A slice of a matrix with a line for each image. */
static float *lines_of(float *matrix, int64_t first, int line) { return matrix ? matrix + first * line : matrix; }

static void forward_layers(const Head *head, int64_t first, int count) {
    const float *inputs = head->inputs + first * head->layers[0].inputs;
    for (const Layer *layer = head->layers; layer < head->layers + head->layer_count; layer++) {
        float *values = lines_of(layer->values, first, layer->outputs);
        product_along(inputs, layer->weight, values, count, layer->outputs, layer->inputs);
        for (int n = 0; n < count && layer->bias; n++)
            for (int o = 0; o < layer->outputs; o++) values[n * layer->outputs + o] += layer->bias[o];
        activate(values, count * layer->outputs, layer->activation, layer->slope);
        inputs = values;
    }
}

/* The cross entropy of a slice's logits, and its gradient by them: (probability − 1 for the label) / count. It is NaN
where a label has no logit. */
static double cross_entropy(const Head *head, int64_t first, int count) {
    const Layer *last = head->layers + head->layer_count - 1;
    const int classes = last->outputs;
    double loss = 0;
    for (int n = 0; n < count; n++) {
        const float *logits = last->values + (first + n) * classes;
        float *gradient = last->gradient + (first + n) * classes;
        const int64_t label = head->labels[first + n];
        if (label < 0 || label >= classes) return __builtin_nan("");
        float most = logits[0], sum = 0;
        for (int c = 1; c < classes; c++) most = logits[c] > most ? logits[c] : most;
        for (int c = 0; c < classes; c++) sum += gradient[c] = exp_of(logits[c] - most);
        for (int c = 0; c < classes; c++) gradient[c] = (gradient[c] / sum - (c == label)) / head->count;
        loss += log_of(sum) - (logits[label] - most);
    }
    return loss;
}

static void backward_layers(const Head *head, int slice, int64_t first, int count) {
    for (int number = head->layer_count - 1; number >= 0; number--) {
        const Layer *layer = head->layers + number;
        const int inputs = layer->inputs, outputs = layer->outputs;
        float *gradient = layer->gradient + first * outputs;
        through_activation(gradient, layer->values + first * outputs, count * outputs, layer->activation, layer->slope);
        if (layer->bias) {
            float *restrict bias_gradient = layer->bias_gradient + slice * head->gradient_stride;
            __builtin_memset(bias_gradient, 0, outputs * sizeof(float));
            for (int n = 0; n < count; n++)
                for (int o = 0; o < outputs; o++) bias_gradient[o] += gradient[n * outputs + o];
        }
        const float *from = number ? layer[-1].values : head->inputs;
        product_across(gradient, 1, outputs, from + first * inputs,
                       layer->weight_gradient + slice * head->gradient_stride, outputs, count, inputs);
        float *to = lines_of(number ? layer[-1].gradient : head->inputs_gradient, first, inputs);
        if (to) product_across(gradient, outputs, 1, layer->weight, to, count, outputs, inputs);
    }
}

/* All of it: logits, loss, gradients. */
void train(const Head *head, int slice) {
    const int64_t first = first_of(slice, head->count, head->slices);
    const int count = first_of(slice + 1, head->count, head->slices) - first;
    forward_layers(head, first, count);
    head->losses[slice] = cross_entropy(head, first, count);
    backward_layers(head, slice, first, count);
}

/* The same in two calls, where the loss is computed by somebody else. */
void forward(const Head *head, int slice) {
    const int64_t first = first_of(slice, head->count, head->slices);
    forward_layers(head, first, first_of(slice + 1, head->count, head->slices) - first);
}

void backward(const Head *head, int slice) {
    const int64_t first = first_of(slice, head->count, head->slices);
    backward_layers(head, slice, first, first_of(slice + 1, head->count, head->slices) - first);
}
