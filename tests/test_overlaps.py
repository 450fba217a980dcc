"The fast overlap of two covariances, against forty digits and against features."

import mpmath
import pytest
import torch

from ddpm_course.features import frechet_distance
from ddpm_course.overlaps import fast_overlap
from fakes import randn


def root(D, decades, seed, rank=None):
    "(D, rank): a root of a covariance whose eigenvalues fall over so many powers of ten."
    axes = torch.linalg.qr(randn(D, D, seed=seed)).Q
    return (axes * torch.logspace(0, -decades / 2, D, dtype=torch.float64))[:, :rank]


def forty_digits(cov1, cov2):
    with mpmath.workdps(40):
        factor = mpmath.cholesky(mpmath.matrix(cov1.tolist()))
        squares = factor.T * mpmath.matrix(cov2.tolist()) * factor
        return float(sum(mpmath.sqrt(v) for v in mpmath.eigsy(squares, eigvals_only=True)))


@pytest.mark.parametrize("decades", [0, 2, 5, 7, 10, 12])
def test_it_has_the_digits_of_forty(decades):
    covs = [r @ r.T for r in (root(24, decades, 0), 2 * root(24, max(decades, 1), 1))]
    assert fast_overlap(*covs) == pytest.approx(forty_digits(*covs), rel=1e-11)
    assert fast_overlap(*covs[::-1]) == pytest.approx(forty_digits(*covs), rel=1e-11)


@pytest.mark.parametrize("rank", [1, 20, 63])
def test_one_flat_side_costs_no_digits(rank):
    flat, whole = root(64, 3, 0, rank), root(64, 3, 1)
    covs = flat @ flat.T, whole @ whole.T
    exact = torch.linalg.svdvals(flat.T @ whole).sum().item()
    assert fast_overlap(*covs) == pytest.approx(exact, rel=1e-11)
    assert fast_overlap(*covs[::-1]) == pytest.approx(exact, rel=1e-11)


def test_what_it_cannot_do_well_it_leaves():
    flat, steep, whole = root(32, 2, 0, 9), root(32, 15, 1), root(32, 2, 2)
    cov = lambda r: r @ r.T
    assert fast_overlap(cov(flat), cov(flat)) is None
    assert fast_overlap(cov(steep), cov(steep)) is None
    assert fast_overlap(cov(whole), cov(whole) - 0.9 * torch.eye(32)) is None  # no covariance
    saddle = torch.eye(2).flip(0).double()  # its diagonal is 0
    assert fast_overlap(torch.eye(2).double(), saddle) is None


def test_a_matrix_is_not_read_by_its_lower_half():
    wrong = torch.eye(3)
    wrong[0, 2] = 0.5
    with pytest.raises(ValueError, match="not symmetric"):
        frechet_distance(torch.zeros(3), torch.eye(3), torch.zeros(3), wrong)
