/* Each optimizer's update as one pass over all numbers of a network.

PyTorch writes RMSprop as six operations, each of which reads and writes all the numbers once: most of the time goes by
on the way to the memory. Here a number's gradient, its memory and its weight are read once, and written once. The rules
are those of torch.optim; eight lanes and the square root of all of them at once are left to the compiler. */

#include "team.h"

typedef struct {
    float *parameters;    // (numbers,)
    float *gradients;     // (numbers,)
    float *momentum;      // (numbers,): the gradients' decaying sum or mean; NULL where there is none
    float *mean_square;   // (numbers,): the mean of their squares; NULL where there is none
    const float *shares;  // (slices, numbers): what the gradients are the sums of; NULL where they are there already
    int64_t numbers;
    float learning_rate;
    float weight_decay;
    float momentum_decay, square_decay;
    float mean_share, square_share;  // 1 − decay, by Python's doubles: 1 − 0.999 in floats is off by 5 in 100,000
    float epsilon;
    float mean_correction, square_correction;  // Adam's, since its means begin at 0
    int32_t slices;
} Update;

_Static_assert(sizeof(Update) == CALL_BYTES, "optimizer.py has another Update");

static void add_up(const Update update) {
    float *restrict gradients = update.gradients;
    for (int slice = 0; update.shares && slice < update.slices; slice++) {
        const float *restrict share = update.shares + slice * update.numbers;
        for (int64_t n = 0; n < update.numbers; n++) gradients[n] = (slice ? gradients[n] : 0) + share[n];
    }
}

/* Without decay, an infinite weight must not make its gradient NaN. */
static inline float with_decay(float gradient, float parameter, float decay) {
    return decay ? gradient + decay * parameter : gradient;
}

void rmsprop(const Update *call, int slice) {
    const Update update = *call;
    add_up(update);
    float *restrict parameters = update.parameters, *restrict mean_square = update.mean_square;
    float *restrict momentum = update.momentum;
    const float *restrict gradients = update.gradients;
    for (int64_t n = 0; n < update.numbers; n++) {
        const float gradient = with_decay(gradients[n], parameters[n], update.weight_decay);
        mean_square[n] = update.square_decay * mean_square[n] + update.square_share * gradient * gradient;
        float change = gradient / (__builtin_elementwise_sqrt(mean_square[n]) + update.epsilon);
        if (momentum) change = momentum[n] = update.momentum_decay * momentum[n] + change;
        parameters[n] -= update.learning_rate * change;
    }
}

static inline __attribute__((always_inline)) void stochastic_gradient_descent(const Update update, int looks_ahead) {
    add_up(update);
    float *restrict parameters = update.parameters, *restrict momentum = update.momentum;
    const float *restrict gradients = update.gradients;
    for (int64_t n = 0; n < update.numbers; n++) {
        const float gradient = with_decay(gradients[n], parameters[n], update.weight_decay);
        float change = gradient;
        if (momentum) change = momentum[n] = update.momentum_decay * momentum[n] + gradient;
        if (looks_ahead) change = gradient + update.momentum_decay * change;
        parameters[n] -= update.learning_rate * change;
    }
}

void sgd(const Update *call, int slice) { stochastic_gradient_descent(*call, 0); }

void nesterov(const Update *call, int slice) { stochastic_gradient_descent(*call, 1); }

/* Weight decay is part of Adam's gradient; AdamW decays the weights themselves. */
static inline __attribute__((always_inline)) void adaptive_moments(const Update update, int decays_weights) {
    add_up(update);
    float *restrict parameters = update.parameters, *restrict mean_square = update.mean_square;
    float *restrict mean = update.momentum;
    const float *restrict gradients = update.gradients;
    const float rate = update.learning_rate / update.mean_correction;
    const float scale = 1 / __builtin_elementwise_sqrt(update.square_correction);
    const float kept = decays_weights ? 1 - update.learning_rate * update.weight_decay : 1;
    const float added = decays_weights ? 0 : update.weight_decay;
    for (int64_t n = 0; n < update.numbers; n++) {
        const float gradient = with_decay(gradients[n], parameters[n], added);
        mean[n] += update.mean_share * (gradient - mean[n]);
        mean_square[n] = update.square_decay * mean_square[n] + update.square_share * gradient * gradient;
        const float size = __builtin_elementwise_sqrt(mean_square[n]) * scale + update.epsilon;
        parameters[n] = kept * parameters[n] - rate * mean[n] / size;
    }
}

void adam(const Update *call, int slice) { adaptive_moments(*call, 0); }

void adamw(const Update *call, int slice) { adaptive_moments(*call, 1); }
