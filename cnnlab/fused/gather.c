/* A batch's images, picked from all, made numbers of bytes, and shifted, in one pass.

PyTorch picks the images, makes floats of them, divides, pads, and looks up each pixel of the shifted image by its two
indices: five passes, which take as long as the training step that they are for. */

#include "team.h"

typedef struct {
    const uint8_t *images;  // (all, height, width), from 0 to 255
    const int64_t *places;  // (count,): which
    const int64_t *firsts;  // (2, count): the row and the column from which each is read, in its image with so many
                            // empty pixels around it as it may be shifted by
    float *gathered;        // (count, height, width), from 0 to 1
    int32_t height, width;
    int32_t pixels;         // that an image may be shifted by
    int32_t count;
    int32_t slices;
} Gathering;

_Static_assert(sizeof(Gathering) == CALL_BYTES, "gather.py has another Gathering");

static void as_numbers(const uint8_t *restrict bytes, float *restrict numbers, int count) {
    for (int n = 0; n < count; n++) numbers[n] = bytes[n] / 255.f;
}

void gather(const Gathering *all, int slice) {
    const int height = all->height, width = all->width, size = height * width;
    const int64_t end = first_of(slice + 1, all->count, all->slices);
    for (int64_t n = first_of(slice, all->count, all->slices); n < end; n++) {
        const uint8_t *image = all->images + all->places[n] * size;
        float *gathered = all->gathered + n * size;
        const int down = (int)all->firsts[n] - all->pixels, right = (int)all->firsts[all->count + n] - all->pixels;
        const int first = right < 0 ? -right : 0, last = right > 0 ? width - right : width;
        __builtin_memset(gathered, 0, size * sizeof(float));
        for (int y = 0; y < height; y++)
            if (0 <= y + down && y + down < height)
                as_numbers(image + (y + down) * width + first + right, gathered + y * width + first, last - first);
    }
}
