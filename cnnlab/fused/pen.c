/* Drawings of pen strokes, prepared as `cnnlab/drawing/preparation.py` prepares what is drawn on the canvas.

There, a drawing is a canvas of 280×280 pixels, of which the box around the ink is resampled to 20×20, each new pixel being
the mean over its area. Here the box is found from the points, and the mean from the distance to the nearest piece of a
stroke, at the middles of the 2×2 parts of each new pixel: no canvas is made, which is some hundred times faster.

`cnnlab/fused/pen.py` compiles this file and calls it; the same in NumPy stands there, for machines without the compiler. */

#include "team.h"

enum { SIDE = 28, FITTED = 20, PARTS = 2, FINE = PARTS * FITTED, CENTRE = 15 };
#define FAR 1e9f
#define FAINT 0.1f  // what a pixel must hold of ink to be of the digit

typedef struct {
    const float *points;     // (points, 2): x and y, the middle of the digit at 0 and its longer side 1
    const int32_t *strokes;  // the first point of each stroke, and the end of the last
    const int32_t *digits;   // the first stroke of each digit, and the end of the last
    const int64_t *wanted;   // (count,): which digit
    const float *changes;    // (count, 7): x = c0 x + c1 y + c2, y = c3 x + c4 y + c5, in pixels, and the pen's radius
    float *images;           // (count, SIDE, SIDE)
    int32_t count;
    int32_t slices;
} Drawings;

_Static_assert(sizeof(Drawings) == CALL_BYTES, "pen.py has another Drawings");

static inline float least(float a, float b) { return a < b ? a : b; }
static inline float most(float a, float b) { return a > b ? a : b; }
static inline float clamped(float value, float low, float high) { return least(most(value, low), high); }
// No C library is needed: what a pixel's number can be is far above -4096.
static inline int floor_of(float value) { return (int)(value + 4096) - 4096; }
static inline int ceil_of(float value) { return 4096 - (int)(4096 - value); }

typedef struct { float x_of_x, x_of_y, x, y_of_x, y_of_y, y; } Change;

static inline float x_of(const Change *change, const float *point) {
    return change->x_of_x * point[0] + change->x_of_y * point[1] + change->x;
}
static inline float y_of(const Change *change, const float *point) {
    return change->y_of_x * point[0] + change->y_of_y * point[1] + change->y;
}

/* The squared distance of each part's middle to the nearest piece of a stroke, where a piece reaches it. */
static void mark(float field[FINE][FINE], float x, float y, float to_x, float to_y, float reach) {
    const float way_x = to_x - x, way_y = to_y - y;
    const float per_length = 1 / most(way_x * way_x + way_y * way_y, 1e-9f);
    const int top = (int)clamped(least(y, to_y) - reach, 0, FINE), bottom = (int)clamped(most(y, to_y) + reach + 1, 0, FINE);
    const int left = (int)clamped(least(x, to_x) - reach, 0, FINE), right = (int)clamped(most(x, to_x) + reach + 1, 0, FINE);
    for (int row = top; row < bottom; row++)
        for (int column = left; column < right; column++) {
            const float from_x = column + 0.5f - x, from_y = row + 0.5f - y;
            const float share = clamped((from_x * way_x + from_y * way_y) * per_length, 0, 1);
            const float off_x = from_x - share * way_x, off_y = from_y - share * way_y;
            field[row][column] = least(field[row][column], off_x * off_x + off_y * off_y);
        }
}

static void draw_one(const Drawings *all, int number) {
    const int64_t digit = all->wanted[number];
    const float *numbers = all->changes + 7 * number, radius = numbers[6];
    Change change;
    __builtin_memcpy(&change, numbers, sizeof change);
    const int first = all->digits[digit], end = all->digits[digit + 1];

    float low_x = FAR, low_y = FAR, high_x = -FAR, high_y = -FAR;
    for (int p = all->strokes[first]; p < all->strokes[end]; p++) {
        const float x = x_of(&change, all->points + 2 * p), y = y_of(&change, all->points + 2 * p);
        low_x = least(low_x, x), high_x = most(high_x, x), low_y = least(low_y, y), high_y = most(high_y, y);
    }
    const int left = floor_of(low_x - radius + FAINT), top = floor_of(low_y - radius + FAINT);
    const int width = ceil_of(high_x + radius - FAINT) - left, height = ceil_of(high_y + radius - FAINT) - top;
    const int square = width > height ? width : height;
    // The shorter side lies in the middle, and begins with a new pixel.
    const int pixels_left = (square - width) * (FITTED / 2) / square, pixels_above = (square - height) * (FITTED / 2) / square;
    const float fine = (float)FINE / square, pen = radius * fine, reach = pen + 0.5f;
    change.x_of_x *= fine, change.x_of_y *= fine, change.x = (change.x - left) * fine + PARTS * pixels_left;
    change.y_of_x *= fine, change.y_of_y *= fine, change.y = (change.y - top) * fine + PARTS * pixels_above;

    float field[FINE][FINE];
    for (int row = 0; row < FINE; row++)
        for (int column = 0; column < FINE; column++) field[row][column] = FAR;
    for (int stroke = first; stroke < end; stroke++) {
        const int start = all->strokes[stroke], last = all->strokes[stroke + 1] - 1;
        const float *point = all->points + 2 * start;
        float x = x_of(&change, point), y = y_of(&change, point);
        if (start == last) mark(field, x, y, x, y, reach);
        for (int p = start + 1; p <= last; p++) {
            const float to_x = x_of(&change, all->points + 2 * p), to_y = y_of(&change, all->points + 2 * p);
            mark(field, x, y, to_x, to_y, reach);
            x = to_x, y = to_y;
        }
    }

    float fitted[FITTED][FITTED], darkest = 1e-6f, mass = 0, mass_x = 0, mass_y = 0;
    for (int row = 0; row < FINE; row++)
        for (int column = 0; column < FINE; column++)
            field[row][column] = clamped(pen + 0.5f - __builtin_elementwise_sqrt(field[row][column]), 0, 1);
    for (int row = 0; row < FITTED; row++)
        for (int column = 0; column < FITTED; column++) {
            float ink = 0;
            for (int part = 0; part < PARTS * PARTS; part++)
                ink += field[PARTS * row + part / PARTS][PARTS * column + part % PARTS];
            ink /= PARTS * PARTS;
            fitted[row][column] = ink;
            darkest = most(darkest, ink);
            mass += ink, mass_x += ink * (column + 0.5f), mass_y += ink * (row + 0.5f);
        }
    mass = most(mass, 1e-6f);
    const int to_row = (int)clamped(CENTRE - mass_y / mass, 0, SIDE - FITTED);
    const int to_column = (int)clamped(CENTRE - mass_x / mass, 0, SIDE - FITTED);
    float *image = all->images + (int64_t)number * SIDE * SIDE;
    __builtin_memset(image, 0, SIDE * SIDE * sizeof(float));
    for (int row = 0; row < FITTED; row++)
        for (int column = 0; column < FITTED; column++)
            image[(to_row + row) * SIDE + to_column + column] = fitted[row][column] / darkest;
}

void draw(const Drawings *all, int slice) {
    const int end = first_of(slice + 1, all->count, all->slices);
    for (int number = first_of(slice, all->count, all->slices); number < end; number++) draw_one(all, number);
}
