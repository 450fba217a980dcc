"One look for the figures of all pages, on light paper and on dark."

GRAY = "#767676" # 4.5 to 1 on white; the site's dark theme makes figures a fifth brighter


def course_style():
    "Set matplotlib's defaults to those of the course: transparent ground, mid-gray text and axes."
    import matplotlib.pyplot as plt
    plt.rcParams.update({name: "none" for name in ("figure.facecolor", "axes.facecolor",
                                                   "savefig.facecolor", "legend.facecolor")})
    plt.rcParams.update({name: GRAY for name in ("text.color", "axes.labelcolor", "axes.edgecolor",
                                                 "axes.titlecolor", "xtick.color", "ytick.color")})
    plt.rcParams.update({
        "figure.dpi": 100, "figure.figsize": (7.4, 3.2), "figure.constrained_layout.use": True,
        "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
