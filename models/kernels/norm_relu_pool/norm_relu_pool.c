/* Batch normalisation in training, ReLU and max pooling as one operation on a CPU; cpu.py calls it.

   Images are channels last: n images of height * width pixels of `channels` values, a multiple of LANES. A value is a
   bfloat16 if compiled with -DBFLOAT16, else a float. Each image is summed by itself, and the sums are then added in the
   order of the images, so results do not depend on the number of threads. */

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Channels in one vector, at most the CPU's vector length, because gcc splits longer vectors into single numbers. LANES
   divides the LANES of cpu.py. */
#if defined __AVX512F__
#define LANES 16
#elif defined __AVX__
#define LANES 8
#else
#define LANES 4
#endif
typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t bits __attribute__((vector_size(4 * LANES)));

#define INLINE static inline __attribute__((always_inline))

INLINE floats load(const float *from) {
    floats numbers;
    memcpy(&numbers, from, sizeof numbers);
    return numbers;
}

INLINE void store(float *to, floats numbers) { memcpy(to, &numbers, sizeof numbers); }

INLINE floats where(ints mask, floats yes, floats no) { return (floats)((mask & (ints)yes) | (~mask & (ints)no)); }

#ifdef BFLOAT16
typedef uint16_t value;
typedef uint16_t values __attribute__((vector_size(2 * LANES)));

INLINE floats read(const value *from) {
    values halves;
    memcpy(&halves, from, sizeof halves);
    return (floats)(__builtin_convertvector(halves, bits) << 16);
}

/* Round to the nearest value, ties to even; a NaN from arithmetic stays a NaN. */
INLINE void write(value *to, floats numbers) {
    bits whole = (bits)numbers;
    values halves = __builtin_convertvector((whole + 0x7fff + ((whole >> 16) & 1)) >> 16, values);
    memcpy(to, &halves, sizeof halves);
}
#else
typedef float value;

INLINE floats read(const value *from) { return load(from); }

INLINE void write(value *to, floats numbers) { store(to, numbers); }
#endif

typedef struct {
    long n, height, width, channels; /* images before pooling */
    long side;                       /* window, in pixels */
} Sizes;

/* Batch normalisation turns each pixel x of a channel into x * scale + shift. */
typedef struct {
    const float *scale, *shift, *mean;
} Norm;

/* The highest activation of a window (the first of equals), its pixel before normalisation, and the pixel's number. */
typedef struct {
    floats activation, pixel;
    ints number;
} Highest;

/* Return the offset of pixel k of a window from its first pixel. */
INLINE long place(Sizes sizes, long side, long k) { return (k / side * sizes.width + k % side) * sizes.channels; }

INLINE Highest highest_of(const value *x, Sizes sizes, long side, floats scale, floats shift) {
    Highest highest = {.pixel = read(x)};
    highest.activation = highest.pixel * scale + shift;
    for (long k = 1; k < side * side; k++) {
        floats pixel = read(x + place(sizes, side, k)), activation = pixel * scale + shift;
        ints is_higher = activation > highest.activation;
        highest.activation = where(is_higher, activation, highest.activation);
        highest.pixel = where(is_higher, pixel, highest.pixel);
        highest.number = (is_higher & (int)k) | (~is_higher & highest.number);
    }
    return highest;
}

/* Run a statement for each window of an image and each vector of its channels, which starts at channel c. The statement
   finds the window's first value at x[window], the place of the result in `output`, the window's Highest in `highest`, and
   its scale and shift. The caller defines x, sizes, side and norm. */
#define FOR_EACH_WINDOW(...)                                                                   \
    for (long h = 0; h < sizes.height / side; h++)                                             \
        for (long w = 0; w < sizes.width / side; w++)                                          \
            for (long c = 0; c < sizes.channels; c += LANES) {                                 \
                long window = (h * sizes.width + w) * side * sizes.channels + c;               \
                long output = (h * (sizes.width / side) + w) * sizes.channels + c;             \
                floats scale = load(norm.scale + c), shift = load(norm.shift + c);             \
                Highest highest = highest_of(x + window, sizes, side, scale, shift);           \
                __VA_ARGS__                                                                    \
            }

/* Forward pass of one image. A NaN is not below 0, so it stays. */
INLINE void pool(const value *x, value *y, Sizes sizes, long side, Norm norm) {
    FOR_EACH_WINDOW(write(y + output, where(highest.activation < 0, (floats){0}, highest.activation));)
}

/* Sum over one image. sums: [2, channels], the gradient at the input of the ReLU, and this times (pixel - mean). */
INLINE void sum_gradients(const value *x, const value *gradient, float *sums, Sizes sizes, long side, Norm norm) {
    float *products = sums + sizes.channels;
    memset(sums, 0, 2 * sizes.channels * sizeof *sums);
    FOR_EACH_WINDOW({
        floats above = where(highest.activation <= 0, (floats){0}, read(gradient + output));
        store(sums + c, load(sums + c) + above);
        store(products + c, load(products + c) + above * (highest.pixel - load(norm.mean + c)));
    })
}

/* The backward pass of one image. Mean and deviation depend on all pixels, which subtracts (x - mean) * slope + offset. */
INLINE void unpool(const value *x, const value *gradient, value *to_x, Sizes sizes, long side, Norm norm,
                   const float *slope, const float *offset) {
    FOR_EACH_WINDOW({
        floats above = where(highest.activation <= 0, (floats){0}, read(gradient + output) * scale);
        for (long k = 0; k < side * side; k++) {
            long other = window + place(sizes, side, k);
            floats below = where(highest.number == (int)k, above, (floats){0});
            floats difference = read(x + other) - load(norm.mean + c);
            write(to_x + other, below - (difference * load(slope + c) + load(offset + c)));
        }
    })
}

/* Sum over one image. sums: [2, channels], differences from `origin` and their squares. Squares of x would cancel. */
static void sum_pixels(const value *x, const float *origin, float *sums, long pixels, long channels) {
    memset(sums, 0, 2 * channels * sizeof *sums);
    for (long p = 0; p < pixels; p++)
        for (long c = 0; c < channels; c += LANES) {
            floats difference = read(x + p * channels + c) - load(origin + c);
            store(sums + c, load(sums + c) + difference);
            store(sums + channels + c, load(sums + channels + c) + difference * difference);
        }
}

/* Return the sum over all images of one of the 2 * channels sums that each image has. */
static double total(const float *sums, long n, long stride, long index) {
    double result = 0;
    for (long i = 0; i < n; i++) result += sums[i * stride + index];
    return result;
}

/* Call with a constant for the usual sides, because compilers make faster loops of it. */
#define WITH_SIDE(call)                                  \
    switch (sizes.side) {                                \
        case 1: { enum { side = 1 }; call; } break;      \
        case 2: { enum { side = 2 }; call; } break;      \
        default: { long side = sizes.side; call; }       \
    }

/* statistics is [4, channels]: scale, shift, mean and deviation for the backward pass. sums is scratch, [n, 2, channels]. */
void forward(const value *x, const float *weight, const float *bias, float *running_mean, float *running_variance,
             float *statistics, float *sums, value *y, Sizes sizes, double momentum, double eps, int threads) {
    long channels = sizes.channels, image = sizes.height * sizes.width * channels;
    float *scale = statistics, *shift = scale + channels, *mean = shift + channels, *deviation = mean + channels;
    /* The origin is the mean of the first image; a single pixel could be an outlier, far from all others. */
    float *origin = mean;
    memset(origin, 0, channels * sizeof *origin);
    sum_pixels(x, origin, sums, image / channels, channels);
    for (long c = 0; c < channels; c++) origin[c] = sums[c] / (image / channels);
#pragma omp parallel for num_threads(threads)
    for (long i = 0; i < sizes.n; i++)
        sum_pixels(x + i * image, origin, sums + i * 2 * channels, image / channels, channels);

    double pixels = (double)sizes.n * sizes.height * sizes.width;
    for (long c = 0; c < channels; c++) {
        double offset = total(sums, sizes.n, 2 * channels, c) / pixels;
        double variance = total(sums, sizes.n, 2 * channels, channels + c) / pixels - offset * offset;
        variance = variance < 0 ? 0 : variance;
        double average = origin[c] + offset;
        mean[c] = average;
        deviation[c] = sqrt(variance + eps);
        scale[c] = weight[c] / deviation[c];
        shift[c] = bias[c] - average * scale[c];
        running_mean[c] += momentum * (average - running_mean[c]);
        running_variance[c] += momentum * (variance * pixels / (pixels - 1) - running_variance[c]);
    }

    Norm norm = {scale, shift, mean};
#pragma omp parallel for num_threads(threads)
    for (long i = 0; i < sizes.n; i++)
        WITH_SIDE(pool(x + i * image, y + i * (image / (side * side)), sizes, side, norm))
}

/* work: [2, channels], the slope and the offset that `unpool` subtracts. */
void backward(const value *x, const value *gradient, const float *statistics, float *sums, float *work, value *to_x,
              float *to_weight, float *to_bias, Sizes sizes, int threads) {
    long channels = sizes.channels, image = sizes.height * sizes.width * channels;
    const float *scale = statistics, *shift = scale + channels, *mean = shift + channels, *deviation = mean + channels;
    float *slope = work, *offset = slope + channels;
    Norm norm = {scale, shift, mean};
#pragma omp parallel for num_threads(threads)
    for (long i = 0; i < sizes.n; i++)
        WITH_SIDE(sum_gradients(x + i * image, gradient + i * (image / (side * side)), sums + i * 2 * channels, sizes,
                                side, norm))

    double pixels = (double)sizes.n * sizes.height * sizes.width;
    for (long c = 0; c < channels; c++) {
        double gradients = total(sums, sizes.n, 2 * channels, c);
        double products = total(sums, sizes.n, 2 * channels, channels + c) / deviation[c];
        to_bias[c] = gradients;
        to_weight[c] = products;
        slope[c] = scale[c] * products / deviation[c] / pixels;
        offset[c] = scale[c] * gradients / pixels;
    }

#pragma omp parallel for num_threads(threads)
    for (long i = 0; i < sizes.n; i++)
        WITH_SIDE(unpool(x + i * image, gradient + i * (image / (side * side)), to_x + i * image, sizes, side, norm,
                         slope, offset))
}
