/* Batch normalisation in training, ReLU and max pooling in one, on a CPU; see models/norm_relu_pool_cpu.py.

   Images are channels last: n images of height * width pixels of `channels` values, a multiple of LANES. Compiled with
   -DBFLOAT16 a value is a bfloat16, else a float. Sums are taken of each image by itself and then in the order of the
   images, so that no result hangs on the number of threads. */

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Channels that are worked on at a time, one vector: gcc takes longer ones than the CPU has apart into single numbers. It
   divides the LANES of models/norm_relu_pool_cpu.py. */
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

/* Rounds to the nearest, of two the even one; a NaN of arithmetic stays one. */
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
    long n, height, width, channels; /* of the images before pooling */
    long side;                       /* of a window */
} Sizes;

/* What each pixel of a channel is given: x * scale + shift. */
typedef struct {
    const float *scale, *shift, *mean;
} Norm;

/* The highest activation of a window, the pixel that it comes from and the number of that pixel, first of equals. */
typedef struct {
    floats activation, pixel;
    ints number;
} Highest;

/* Where pixel k of a window lies, from its first. */
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

/* Runs a statement for each window of an image and each vector of its channels, from c on. It finds the window's first
   value at x[window], the place of its result at `output`, its Highest, and the scale and shift that this was found with;
   x, sizes, side and norm are the caller's. */
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

/* A NaN is not below 0, and stays. */
INLINE void pool(const value *x, value *y, Sizes sizes, long side, Norm norm) {
    FOR_EACH_WINDOW(write(y + output, where(highest.activation < 0, (floats){0}, highest.activation));)
}

/* sums: [2, channels], the gradient behind the ReLU, and it times the pixel less the mean. */
INLINE void sum_gradients(const value *x, const value *gradient, float *sums, Sizes sizes, long side, Norm norm) {
    float *products = sums + sizes.channels;
    memset(sums, 0, 2 * sizes.channels * sizeof *sums);
    FOR_EACH_WINDOW({
        floats above = where(highest.activation <= 0, (floats){0}, read(gradient + output));
        store(sums + c, load(sums + c) + above);
        store(products + c, load(products + c) + above * (highest.pixel - load(norm.mean + c)));
    })
}

/* What the mean and the deviation of all pixels take off a gradient is (x - mean) * slope + offset. */
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

/* sums: [2, channels], of the differences from `origin` and of their squares, which cancel less than those of x. */
static void sum_pixels(const value *x, const float *origin, float *sums, long pixels, long channels) {
    memset(sums, 0, 2 * channels * sizeof *sums);
    for (long p = 0; p < pixels; p++)
        for (long c = 0; c < channels; c += LANES) {
            floats difference = read(x + p * channels + c) - load(origin + c);
            store(sums + c, load(sums + c) + difference);
            store(sums + channels + c, load(sums + channels + c) + difference * difference);
        }
}

/* The sum over images of one of the 2 * channels sums of each. */
static double total(const float *sums, long n, long stride, long index) {
    double result = 0;
    for (long i = 0; i < n; i++) result += sums[i * stride + index];
    return result;
}

/* With constants for the usual sides, of which compilers make faster loops. */
#define WITH_SIDE(call)                                  \
    switch (sizes.side) {                                \
        case 1: { enum { side = 1 }; call; } break;      \
        case 2: { enum { side = 2 }; call; } break;      \
        default: { long side = sizes.side; call; }       \
    }

/* statistics: [4, channels], scale, shift, mean and deviation for the way back; sums: [n, 2, channels] to work in. */
void forward(const value *x, const float *weight, const float *bias, float *running_mean, float *running_variance,
             float *statistics, float *sums, value *y, Sizes sizes, double momentum, double eps, int threads) {
    long channels = sizes.channels, image = sizes.height * sizes.width * channels;
    float *scale = statistics, *shift = scale + channels, *mean = shift + channels, *deviation = mean + channels;
    /* The origin is the mean of the first image: one pixel may lie far off, where differences cancel as much as x does. */
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

/* work: [2, channels], the slope and offset of every pixel. */
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
