"Checkers of chapter 93: operations counted, seconds measured."

from ddpm_course.checks import Exercise


def blocks(): return [(64, 128, 16, 16), (128, 128, 32, 32), (384, 256, 8, 16)]


def convolutions(c_in, c_out, H, W, pair=2, skip=True, kernel=9, second=None):
    "Operations of two 3x3 convolutions, and of the skip where there is one."
    products = kernel * c_in * c_out + kernel * c_out * (second or c_out)
    if skip and c_in != c_out: products += c_in * c_out
    return pair * products * H * W


block_operations = Exercise(
    convolutions, blocks,
    {"a product and its sum are two operations; this counts pairs":
         lambda *block: convolutions(*block, pair=1),
     "the 1x1 convolution on the skip is missing, where the channels change":
         lambda *block: convolutions(*block, skip=False),
     "a 3x3 kernel has nine places, not three": lambda *block: convolutions(*block, kernel=3),
     "the second convolution goes from c_out to c_out":
         lambda c_in, c_out, H, W: convolutions(c_in, c_out, H, W, second=c_in),
     "this is one place; an image has H x W of them":
         lambda c_in, c_out, H, W: convolutions(c_in, c_out, 1, 1),
     "the skip has a convolution only where the channels change":
         lambda c_in, c_out, H, W: convolutions(c_in, c_out, H, W, skip=False)
         + 2 * c_in * c_out * H * W,
     "the skip's kernel is 1x1, not 3x3": lambda c_in, c_out, H, W:
         convolutions(c_in, c_out, H, W) + (c_in != c_out) * 16 * c_in * c_out * H * W,
     "this is one convolution of the two": lambda c_in, c_out, H, W:
         18 * c_in * c_out * H * W},
    "Summed over the network, this is nearly all that the counter finds.", tol=1e-9)


def trials():
    "(readings of a clock after each step, steps to leave out, steps of the run)."
    even = [5.0 + 0.5 * i for i in range(24)]
    uneven = [30.0, 31.0, 31.5, 31.7, 31.9, 32.1, 32.3, 32.7]
    return [(even, 3, 1000), (uneven, 3, 800_000), ([60.0, 60.1, 60.3, 60.5], 2, 10_000)]


def hours(seconds, steps): return seconds * steps / 3600


trial_hours = Exercise(
    lambda times, skip, steps: hours((times[-1] - times[skip - 1]) / (len(times) - skip), steps),
    trials,
    {"the warm-up is counted: leave the first steps out":
         lambda times, skip, steps: hours(times[-1] / len(times), steps),
     "the time of the warm-up is left out, and its steps are counted":
         lambda times, skip, steps: hours((times[-1] - times[skip - 1]) / len(times), steps),
     "the reading before the first counted step is times[skip - 1], not times[skip]":
         lambda times, skip, steps: hours((times[-1] - times[skip]) / (len(times) - skip), steps),
     "between times[skip] and the last lies one step less; this also leaves one out too many":
         lambda times, skip, steps:
         hours((times[-1] - times[skip]) / (len(times) - skip - 1), steps),
     "this divides by one step less than lie between the two readings":
         lambda times, skip, steps:
         hours((times[-1] - times[skip - 1]) / (len(times) - skip - 1), steps),
     "these are seconds; an hour has 3,600": lambda times, skip, steps:
         (times[-1] - times[skip - 1]) / (len(times) - skip) * steps,
     "these are minutes": lambda times, skip, steps:
         60 * hours((times[-1] - times[skip - 1]) / (len(times) - skip), steps),
     "the readings are of a clock that runs on; their mean is no time of a step":
         lambda times, skip, steps: hours(sum(times[skip:]) / (len(times) - skip), steps),
     "this is the time of one step; the run has `steps`": lambda times, skip, steps:
         hours((times[-1] - times[skip - 1]) / (len(times) - skip), 1)},
    "A trial of twenty steps costs seconds, and saves days.", tol=1e-9)


def samplings():
    "(images, steps, guided steps, operations of an evaluation, of decoding one image)."
    return [(50_000, 50, 0, 12.4, 0.0), (1000, 50, 50, 6.9, 620.0), (64, 100, 40, 0.03, 0.01)]


def operations(n, steps, guided, gflop, decode): return n * ((steps + guided) * gflop + decode)


sampling_operations = Exercise(
    operations, samplings,
    {"a guided step asks the network twice; this counts one evaluation a step":
         lambda n, steps, guided, gflop, decode: operations(n, steps, 0, gflop, decode),
     "guidance acts in `guided` of the steps, not in all":
         lambda n, steps, guided, gflop, decode: operations(n, steps, steps, gflop, decode),
     "a latent is decoded once, at the end, not at every step":
         lambda n, steps, guided, gflop, decode: n * (steps + guided) * (gflop + decode),
     "decoding is missing":
         lambda n, steps, guided, gflop, decode: operations(n, steps, guided, gflop, 0),
     "decoding is done for every image, not once for all": lambda n, steps, guided, gflop, decode:
         operations(n, steps, guided, gflop, 0) + decode,
     "this is one image": lambda n, steps, guided, gflop, decode:
         operations(1, steps, guided, gflop, decode),
     "the guided steps alone are counted; the others cost one evaluation":
         lambda n, steps, guided, gflop, decode:
         n * (2 * guided * gflop + decode),
     "a guided step costs two evaluations; this counts three":
         lambda n, steps, guided, gflop, decode: operations(n, steps, 2 * guided, gflop, decode)},
    "At equal operations, a guided sampler has half of the steps.", tol=1e-9)
