// The elementwise ops on numbers, by the names they have in Python, with IEEE results: 1 / 0 is
// Infinity, and log(-1) is NaN. Options come after the operands.

const ops = {
  // Arithmetic
  add(a, b) { return a + b; },
  subtract(a, b) { return a - b; },
  multiply(a, b) { return a * b; },
  divide(a, b) { return a / b; },
  negative(x) { return -x; },
  positive(x) { return x; },
  reciprocal(x) { return 1 / x; },
  square(x) { return x * x; },
  // 1 to any power is 1 in C and Python, and so is (-1) to an infinite one; not in JavaScript.
  power(x, p) { return x === 1 || (x === -1 && Math.abs(p) === Infinity) ? 1 : x ** p; },
  float_power(x, p) { return ops.power(x, p); },
  floor_divide(a, b) {
    if (b === 0) return a / b;
    if (!Number.isFinite(a)) return NaN;
    if (!Number.isFinite(b)) return Number.isNaN(b) ? NaN : a === 0 || a < 0 === b < 0 ? a / b : -1;
    // The remainder is exact, so that what is left is a whole number times b.
    const quotient = (a - ops.mod(a, b)) / b;
    const floor = Math.floor(quotient);
    return quotient === 0 ? a / b * 0 : quotient - floor > 0.5 ? floor + 1 : floor;
  },
  mod(a, b) {
    const remainder = a % b;
    if (remainder === 0) return b < 0 ? -0 : 0;
    return remainder < 0 !== b < 0 ? remainder + b : remainder;
  },
  fmod(a, b) { return a % b; },

  // Exponentials and roots
  exp(x) { return Math.exp(x); },
  exp2(x) { return 2 ** x; },
  expm1(x) { return Math.expm1(x); },
  log(x) { return Math.log(x); },
  log2(x) { return Math.log2(x); },
  log10(x) { return Math.log10(x); },
  log1p(x) { return Math.log1p(x); },
  logaddexp(a, b) { return a === b ? a + Math.LN2 : Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b))); },
  logaddexp2(a, b) { return a === b ? a + 1 : Math.max(a, b) + Math.log1p(2 ** -Math.abs(a - b)) / Math.LN2; },
  sqrt(x) { return Math.sqrt(x); },
  cbrt(x) { return Math.cbrt(x); },
  hypot(a, b) { return Math.hypot(a, b); },
  // Near 0 its power series; further out 1 minus the continued fraction of the complement, as in
  // Abramowitz and Stegun, 7.1.6 and 7.1.14.
  erf(x) {
    const z = Math.abs(x);
    if (Number.isNaN(x)) return NaN;
    if (z > 6) return Math.sign(x);
    if (z < 2.5) {
      let term = z;
      let sum = z;
      for (let n = 1; term > sum * 1e-17; n += 1) {
        term *= (2 * z * z) / (2 * n + 1);
        sum += term;
      }
      return Math.sign(x) * sum * Math.exp(-z * z) * (2 / Math.sqrt(Math.PI));
    }
    let fraction = z;
    for (let n = 60; n > 0; n -= 1) fraction = z + n / 2 / fraction;
    return Math.sign(x) * (1 - Math.exp(-z * z) / (fraction * Math.sqrt(Math.PI)));
  },

  // Trigonometry
  sin(x) { return Math.sin(x); },
  cos(x) { return Math.cos(x); },
  tan(x) { return Math.tan(x); },
  arcsin(x) { return Math.asin(x); },
  arccos(x) { return Math.acos(x); },
  arctan(x) { return Math.atan(x); },
  arctan2(a, b) { return Math.atan2(a, b); },
  deg2rad(x) { return x * (Math.PI / 180); },
  rad2deg(x) { return x * (180 / Math.PI); },
  sinh(x) { return Math.sinh(x); },
  cosh(x) { return Math.cosh(x); },
  tanh(x) { return Math.tanh(x); },
  arcsinh(x) { return Math.asinh(x); },
  arccosh(x) { return Math.acosh(x); },
  arctanh(x) { return Math.atanh(x); },
  sinc(x) { return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x); },

  // Kinked
  abs(x) { return Math.abs(x); },
  sign(x) { return Math.sign(x); },
  copysign(a, b) { return b < 0 || Object.is(b, -0) ? -Math.abs(a) : Math.abs(a); },
  heaviside(x, at_zero) { return Number.isNaN(x) ? x : x === 0 ? at_zero : x < 0 ? 0 : 1; },
  maximum(a, b) { return a >= b || Number.isNaN(a) ? a : b; },
  minimum(a, b) { return a <= b || Number.isNaN(a) ? a : b; },
  fmax(a, b) { return a >= b || Number.isNaN(b) ? a : b; },
  fmin(a, b) { return a <= b || Number.isNaN(b) ? a : b; },
  clip(a, lo, hi) { return ops.minimum(ops.maximum(a, lo), hi); },
  where(condition, a, b) { return condition === true || (condition !== false && condition !== 0) ? a : b; },
  nan_to_num(x, nan, posinf, neginf) {
    if (Number.isNaN(x)) return nan;
    if (x === Infinity) return posinf ?? Number.MAX_VALUE;
    return x === -Infinity ? (neginf ?? -Number.MAX_VALUE) : x;
  },

  // Steps
  floor(x) { return Math.floor(x); },
  ceil(x) { return Math.ceil(x); },
  trunc(x) { return Math.trunc(x); },
  round(x, decimals) {
    const scale = 10 ** Math.abs(decimals);
    const scaled = decimals < 0 ? x / scale : x * scale;
    if (!Number.isFinite(scaled)) return x;
    const floor = Math.floor(scaled);
    const rest = scaled - floor; // a half goes to the even neighbour
    const up = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0);
    return decimals < 0 ? (floor + (up ? 1 : 0)) * scale : (floor + (up ? 1 : 0)) / scale;
  },

  // Activations
  sigmoid(x) { return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)); },
  silu(x) { return x * ops.sigmoid(x); },
  softplus(x) { return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))); },
  mish(x) { return x * Math.tanh(ops.softplus(x)); },
  softsign(x) { return x / (1 + Math.abs(x)); },
  gelu(x, approximate) {
    if (approximate === "none") return x * 0.5 * (1 + ops.erf(x * Math.SQRT1_2));
    const near = ops.clip(x, -40, 40);
    return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * near * (1 + 0.044715 * near * near)));
  },
  relu(x) { return x < 0 ? 0 : x; },
  leaky_relu(x, negative_slope) { return x > 0 ? x : negative_slope * x; },
  elu(x, alpha) { return x > 0 ? x : alpha * Math.expm1(x); },
  hardtanh(x, min_val, max_val) { return x < min_val ? min_val : x > max_val ? max_val : x; },
  hardswish(x) { return (x * Math.min(Math.max(x + 3, 0), 6)) / 6; },

  // Others
  bernoulli_loss(p, t) { return -t * Math.max(Math.log(p), -100) - (1 - t) * Math.max(Math.log(1 - p), -100); },
  argument(x) { return x; },
};
