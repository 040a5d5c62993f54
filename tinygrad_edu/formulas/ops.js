// What the library's ops need and JavaScript's Math has not: the special cases of IEEE arithmetic
// as Python's floats and NumPy have them, and a few functions.
const Ops = Object.freeze({
  // x to the power p. JavaScript alone says nan where x is 1, or where x is -1 and p infinite.
  power(x, p) {
    return x === 1 || (x === -1 && Math.abs(p) === Infinity) ? 1 : x ** p;
  },

  // The remainder with the sign of b. JavaScript's % has that of a.
  mod(a, b) {
    const remainder = a % b;
    if (remainder === 0) return b < 0 || Object.is(b, -0) ? -0 : 0;
    return remainder < 0 !== b < 0 ? remainder + b : remainder;
  },

  // a - mod(a, b) is a multiple of b, up to rounding: hence the whole number nearest to the quotient.
  floorDivide(a, b) {
    if (b === 0) return a / b;
    const remainder = a % b;
    let quotient = (a - remainder) / b;
    if (remainder !== 0 && remainder < 0 !== b < 0) quotient -= 1;
    const below = Math.floor(quotient);
    return quotient - below > 0.5 ? below + 1 : below;
  },

  copysign(a, b) {
    return b < 0 || Object.is(b, -0) ? -Math.abs(a) : Math.abs(a);
  },

  heaviside(x, atZero) {
    if (x === 0) return atZero;
    return x < 0 ? 0 : x > 0 ? 1 : NaN;
  },

  // A number wins over nan.
  fmax(a, b) {
    return a >= b || Number.isNaN(b) ? a : b;
  },

  fmin(a, b) {
    return a <= b || Number.isNaN(b) ? a : b;
  },

  // log(exp(a) + exp(b)): no exp exceeds 1. Two equal infinities have no difference.
  logaddexp(a, b) {
    if (a === b) return a + Math.LN2;
    return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
  },

  logaddexp2(a, b) {
    if (a === b) return a + 1;
    return Math.max(a, b) + Math.log1p(2 ** -Math.abs(a - b)) / Math.LN2;
  },

  // Halves go to the even neighbour.
  round(x, decimals) {
    const scale = 10 ** Math.abs(decimals);
    const scaled = decimals < 0 ? x / scale : x * scale;
    const whole = Math.abs(scaled % 1) === 0.5 ? 2 * Math.round(scaled / 2) : Math.round(scaled);
    return decimals < 0 ? whole * scale : whole / scale;
  },

  nanToNum(x, nan, posinf, neginf) {
    if (Number.isNaN(x)) return nan;
    if (x === Infinity) return posinf ?? Number.MAX_VALUE;
    return x === -Infinity ? neginf ?? -Number.MAX_VALUE : x;
  },

  // 2/√π ∫₀ˣ exp(-t²) dt. Source: NIST Digital Library of Mathematical Functions, 7.6.2 and 7.9.1.
  erf(x) {
    const a = Math.abs(x);
    if (!(a < 6)) return Math.sign(x); // or nan
    if (a < 2) {
      // 2/√π exp(-a²) Σ 2ⁿ a²ⁿ⁺¹ / (1 · 3 · ... · (2n + 1)): every term is positive.
      let term = x;
      let sum = x;
      for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n += 1) {
        term *= (2 * a * a) / (2 * n + 1);
        sum += term;
      }
      return (2 / Math.sqrt(Math.PI)) * Math.exp(-a * a) * sum;
    }
    // 1 - erf(a) = exp(-a²) / √π / (a + 1/2 / (a + 2/2 / (a + 3/2 / (a + ...)))).
    let fraction = a;
    for (let k = 60; k > 0; k -= 1) fraction = a + k / 2 / fraction;
    return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / fraction);
  },

  // sin(πx) / (πx).
  sinc(x) {
    return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
  },

  // With z = πx and f(z) = sin(z) / z, z f⁽ⁿ⁾ + n f⁽ⁿ⁻¹⁾ = sin(z + nπ/2), which gives one derivative
  // after the other. Where |z| is small, that loses digits, and the Taylor series is summed.
  sincDerivative(x, order) {
    const z = Math.PI * x;
    let derivative = 0;
    if (Math.abs(z) > order + 1 || Number.isNaN(z)) {
      const waves = [Math.sin(z), Math.cos(z), -Math.sin(z), -Math.cos(z)];
      derivative = waves[0] / z;
      for (let n = 1; n <= order; n += 1) derivative = (waves[n % 4] - n * derivative) / z;
    } else {
      // Σ (-1)ᵏ zᵐ / (m! (2k + 1)) over m = 2k - n >= 0.
      let power = order % 2 ? z : 1; // zᵐ / m!
      for (let m = order % 2; m < 40 + 4 * order; m += 2) {
        const k = (m + order) / 2;
        derivative += ((k % 2 ? -1 : 1) * power) / (2 * k + 1);
        power *= (z * z) / ((m + 1) * (m + 2));
      }
    }
    return derivative * Math.PI ** order;
  },
});
