/* Lets a team of threads work on a batch.

Threads that meet after each layer wait for the slowest each time, and what one layer has written has often left the
core's cache before the next reads it. So each slice of a batch goes through all the stages, in order, on one thread, and
whoever ends the last slice does what needs all of them: the sum of their gradients, and the optimizer's update. */

#include <stdatomic.h>
#include <stdint.h>

typedef struct {
    void (*work)(const void *call, int slice);
    const void *call;
} Stage;

typedef struct {
    const Stage *stages;
    Stage at_the_end;  // work is NULL where nothing is to be done
    int32_t count;     // of the stages
    int32_t slices;
    atomic_int taken;
    atomic_int done;
} Work;

_Static_assert(sizeof(Work) == CALL_BYTES, "team.py has another Work");

void work(Work *work) {
    for (int slice; (slice = atomic_fetch_add(&work->taken, 1)) < work->slices;) {
        for (int stage = 0; stage < work->count; stage++) work->stages[stage].work(work->stages[stage].call, slice);
        const int done = atomic_fetch_add(&work->done, 1) + 1;
        if (done == work->slices && work->at_the_end.work) work->at_the_end.work(work->at_the_end.call, 0);
    }
}
