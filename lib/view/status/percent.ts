/**
 * "33.33%" (GB.G.4), with two decimals and normal rounding; "0.00%" where the total is 0 or unknown. "100.00%" is said only of
 * all: what is missing must not vanish in rounding.
 */
export function percentage(part: number | null, total: number | null): string {
  if (!total) return '0.00%'
  const hundredths = Math.round(((part ?? 0) / total) * 10_000)
  const shown = hundredths >= 10_000 && (part ?? 0) < total ? 9999 : hundredths
  return `${(shown / 100).toFixed(2)}%`
}
