"Checkers of chapter 92: squares, readings of w, and the size of latents."

from ddpm_course.checks import Exercise


def sides():
    "(width, height of a photograph, side of the square)."
    return [(500, 375, 128), (375, 500, 128), (640, 427, 64), (1000, 1000, 100), (256, 300, 128),
            (255, 300, 128)]


def halved(W, H, size, ask=min, limit=2):
    "How often ADM's rule halves a photograph: while the short side is at least 2 * size."
    count = 0
    while ask(W, H) >= limit * size:
        W, H, count = W // 2, H // 2, count + 1
    return count


halvings = Exercise(
    halved, sides,
    {"the rule asks the short side, not the long one":
         lambda W, H, size: halved(W, H, size, ask=max),
     "it halves while the short side is at least 2 * size, not while it is at least size":
         lambda W, H, size: halved(W, H, size, limit=1),
     "\"at least\" includes 2 * size itself: 256 to 128 is halved":
         lambda W, H, size: halved(W, H, size, ask=lambda W, H: min(W, H) - 1),
     "it halves again as long as the side is large enough, not once":
         lambda W, H, size: int(min(W, H) >= 2 * size),
     "this is what is left of the short side, not how often it was halved":
         lambda W, H, size: min(W, H) // 2**halved(W, H, size),
     "this is by what the sides are divided, 2^n; n is asked for":
         lambda W, H, size: 2**halved(W, H, size),
     "it goes by the width; the short side may be the height":
         lambda W, H, size: halved(W, W, size)},
    "Box filters are cheap and exact for halves; the bicubic filter has the rest.")


def readings():
    "(eps without label, eps with it, w)."
    return [(0.0, 1.0, 1.5), (2.0, 3.0, 3.0), (-1.0, 0.5, 2.0), (1.0, 1.0, 2.0)]


w_by_equation = Exercise(
    lambda u, c, w: (1 + w) * c - w * u, readings,
    {"this takes w for the scale s: u + w (c - u); in (1 + w) c - w u, s is 1 + w":
         lambda u, c, w: u + w * (c - u),
     "the two predictions are exchanged": lambda u, c, w: (1 + w) * u - w * c,
     "this adds w u where it is taken away": lambda u, c, w: (1 + w) * c + w * u,
     "1 + w stands before c, not w": lambda u, c, w: w * c - w * u,
     "this is u + (1 - w)(c - u): a sign is wrong": lambda u, c, w: u + (1 - w) * (c - u),
     "this is s = 2 + w: one c too many": lambda u, c, w: (2 + w) * c - (1 + w) * u},
    "Print both readings beside a number that says w.", tol=1e-9)


def caches():
    "(images, side, factor, latent channels, mirrored ones, too)."
    return [(126_689, 128, 8, 4, True), (126_689, 128, 8, 4, False), (1000, 64, 4, 3, True),
            (9469, 256, 8, 16, False)]


def size_of(n, side, factor, channels, flip, width=2):
    return n * (1 + flip) * channels * (side // factor)**2 * width


cache_bytes = Exercise(
    size_of, caches,
    {"half precision takes two bytes a number, not four":
         lambda *cache: size_of(*cache, width=4),
     "this counts numbers; each takes two bytes": lambda *cache: size_of(*cache, width=1),
     "with the mirrored ones there are twice as many":
         lambda n, side, factor, channels, flip: size_of(n, side, factor, channels, False),
     "the mirrored ones are kept only where `flip` says so":
         lambda n, side, factor, channels, flip: size_of(n, side, factor, channels, True),
     "both sides shrink by the factor: the places by its square":
         lambda n, side, factor, channels, flip:
         n * (1 + flip) * channels * side * (side // factor) * 2,
     "a place of the latent holds `channels` numbers, not three": lambda n, side, factor, c, flip:
         size_of(n, side, factor, 3, flip) if c != 3 else size_of(n, side, factor, 1, flip),
     "latents are smaller than images: each side is divided by the factor":
         lambda n, side, factor, channels, flip: size_of(n, side, 1, channels, flip),
     "this is one image": lambda n, *cache: size_of(1, *cache)},
    "It fits into memory where the pixels would not.", tol=1e-9)
