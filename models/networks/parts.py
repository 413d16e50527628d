# SPDX-License-Identifier: MIT
"""What the networks are made of.  Sequences begin at position 0 and are short, so that recurrences
are written as what they are of all positions at once: a matrix of [time, time]."""
import math

import torch
import torch.nn.functional as F

VOCAB, EMBD, CONTEXT, EPS, THETA = 2048, 256, 256, 1e-5, 10000.0
ROT = 32                                        # columns of a head that positions turn


def rope_table(n):
    """(cos, sin), each [n, ROT / 2]; pair i turns by position * THETA^(-2i / ROT)"""
    freq = THETA ** (-torch.arange(0, ROT, 2, dtype=torch.float64) / ROT)
    angle = torch.arange(n, dtype=torch.float64)[:, None] * freq
    return angle.cos().float(), angle.sin().float()


COS, SIN = rope_table(CONTEXT)


def rope(x):
    """x [batch, heads, time, ROT]; neighbouring elements are the pairs"""
    n = x.shape[2]
    c, s = COS[:n], SIN[:n]
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * c - b * s, a * s + b * c), -1).flatten(3)


def norm(x, w):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * w


def heads(x, n):
    """[batch, time, n * dim] -> [batch, n, time, dim]"""
    return x.view(*x.shape[:2], n, -1).transpose(1, 2)


def joined(x):
    return x.transpose(1, 2).flatten(2)


def causal(n, window=0):
    """0 where a position (row) sees another (column), else -infinity; window: itself and those before"""
    t = torch.arange(n)
    back = t[:, None] - t
    return torch.zeros(n, n).masked_fill((back < 0) | ((back >= window) if window else False), float("-inf"))


def attend(q, k, v, mask):
    """[batch, heads, time, dim]; of keys and values there may be fewer heads"""
    b, h, n, d = q.shape
    kv = k.shape[1]
    # query heads of one group stand one after the other in time for their common key head
    q = q.reshape(b, kv, h // kv * n, d)
    a = (q @ k.transpose(2, 3)) * (1.0 / math.sqrt(d))
    a = (a.view(b, kv, h // kv, n, n) + mask).softmax(-1).view(b, kv, h // kv * n, n)
    return joined((a @ v).view(b, h, n, -1))


def swiglu(x, gate, up, down):
    return F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), down)


def xielu(x, alpha_p, alpha_n):
    """alphas as they are trained, before the softplus"""
    p, n = F.softplus(alpha_p), 0.5 + F.softplus(alpha_n)
    return torch.where(x > 0, p * x * x, n * (torch.expm1(x.clamp(max=-1e-6)) - x)) + 0.5 * x


def convolve(x, w):
    """x [batch, time, channels], w [channels, taps], the last of them for the position itself"""
    taps = w.shape[1]
    before = F.pad(x, (0, 0, taps - 1, 0))
    return sum(before[:, j:j + x.shape[1]] * w[:, j] for j in range(taps))


def fading(log):
    """log [batch, heads, time], how each position lets the state fade -> [batch, heads, time, time],
    what is left of column s at row t, 0 for s > t"""
    g = log.cumsum(-1)
    n = g.shape[-1]
    return (g[..., :, None] - g[..., None, :] + causal(n)).exp()


def state_space(x, k, q, dt, a, d):
    """S_t = exp(dt a) S_(t-1) + dt x k^T, y = S q + d x; x [batch, heads, time, dim], dt [batch, heads,
    time]; k, q of groups of heads"""
    times = x.shape[1] // k.shape[1]
    seen = (q @ k.transpose(2, 3)).repeat_interleave(times, 1)
    return (fading(dt * a[:, None]) * seen * dt[..., None, :]) @ x + d[:, None, None] * x


def delta_rule(v, k, q, log, beta):
    """S decays by exp(log); S_t = S + u k^T with u = beta (v - S k); y = S q / sqrt(dim).  The u are
    what solves (1 + A) u = beta v, A what each finds of those before it."""
    left = fading(log)
    found = (beta[..., None] * left * (k @ k.transpose(2, 3))).tril(-1)
    u = torch.linalg.solve_triangular(found, beta[..., None] * v, upper=False, unitriangular=True)
    return (left * (q @ k.transpose(2, 3))) @ u * (1.0 / math.sqrt(k.shape[-1]))
