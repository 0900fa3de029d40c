/* What a GPU did, added up: pure arithmetic on its phases. */
#include "driver.h"

#define NANOSECONDS 1e9

static double overlap(int64_t start, int64_t end, int64_t until)
{
    if (until <= start)
        return 0;
    return (double)((until < end ? until : end) - start) / NANOSECONDS;
}

/* The phases from `first` on, once, until a time; the last one lasts for ever. */
static double once(const struct timeline *line, unsigned int first, enum level level, int64_t until)
{
    double sum = 0;
    for (unsigned int number = first; number < line->count; number++) {
        int64_t end = number + 1 < line->count ? line->phases[number + 1].start : INT64_MAX;
        sum += line->phases[number].levels[level] * overlap(line->phases[number].start, end, until);
    }
    return sum;
}

double integral(const struct gpu *gpu, enum level level, int64_t time)
{
    const struct timeline *line = &gpu->timelines[gpu->timeline % STATE_TIMELINES];
    int64_t start, whole;
    if (line->count == 0)
        return 0;
    start = line->phases[line->cycle].start;
    if (line->period == 0 || time < start + line->period)
        return line->base[level] + once(line, 0, level, time);
    whole = (time - start) / line->period;
    return line->base[level] + once(line, 0, level, start) +
           (double)whole * once(line, line->cycle, level, start + line->period) +
           once(line, line->cycle, level, time - whole * line->period);
}

double mean(const struct gpu *gpu, enum level level, int64_t from, int64_t until)
{
    double sum = integral(gpu, level, until) - integral(gpu, level, from);
    return sum / ((double)(until - from) / NANOSECONDS);
}

int64_t reading_time(int64_t now, int64_t period)
{
    return period == 0 ? now : now - now % period;
}
