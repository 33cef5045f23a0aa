/** How sure `worstShare` is, one-sided. */
export const CONFIDENCE = 0.95

const BISECTIONS = 60

/**
 * With 95 % confidence at most this share of all files is bad, where a sample drawn uniformly at random had `bad` bad ones of
 * `examined`: the upper bound of Clopper and Pearson (Biometrika 26, 1934), the share at which so few bad ones would come up
 * with probability 5 %. With none bad it is 1 - 0.05^(1 / examined), about 3 / examined. A sample is drawn without putting
 * back, so the bound errs on the safe side; and what has been examined cannot be bad unseen, so it is never above
 * (bad + not examined) / total.
 */
export function worstShare({ examined, bad, total }: { examined: number; bad: number; total: number }): number {
  if (total === 0) return 0
  const unseen = (bad + Math.max(0, total - examined)) / total
  if (examined === 0 || bad >= examined) return Math.min(1, unseen)
  return Math.min(clopperPearson(examined, bad), unseen)
}

function clopperPearson(examined: number, bad: number): number {
  if (bad === 0) return 1 - (1 - CONFIDENCE) ** (1 / examined)
  const choices = logChoices(examined, bad)
  let [low, high] = [bad / examined, 1]
  for (let step = 0; step < BISECTIONS; step += 1) {
    const share = (low + high) / 2
    if (atMost(examined, bad, share, choices) > 1 - CONFIDENCE) low = share
    else high = share
  }
  return high
}

/** The probability of at most `bad` bad ones in a sample, from a share of at least bad / examined. */
function atMost(examined: number, bad: number, share: number, choices: number): number {
  let term = Math.exp(choices + bad * Math.log(share) + (examined - bad) * Math.log1p(-share))
  let sum = term
  // Below the mean the terms only shrink, so the sum is done long before it has all of them.
  for (let count = bad; count > 0 && term > sum * Number.EPSILON; count -= 1) {
    term *= (count * (1 - share)) / ((examined - count + 1) * share)
    sum += term
  }
  return sum
}

/** The logarithm of the number of ways to choose so many. */
function logChoices(from: number, count: number): number {
  let sum = 0
  for (let taken = 1; taken <= count; taken += 1) sum += Math.log((from - count + taken) / taken)
  return sum
}
