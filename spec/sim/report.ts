import type { SimResult } from './simulate.ts'

/** What a person needs to know: what broke, how to see it again, and one closing line. */
export function report(
  { sequences, failure }: SimResult,
  { seed, size }: { seed: number; size: number },
  tookMs: number,
): string {
  const perSequenceMs = (tookMs / Math.max(1, sequences)).toFixed(0)
  const closing = `sim: seed ${seed}, ${sequences} sequences of up to ${size} commands, ${perSequenceMs} ms each: `
  if (!failure) return `${closing}every promise held`
  const { violated, commands, path, replay } = failure
  return [
    `Violated: ${violated}`,
    'after these commands:',
    ...commands.map((command) => `  ${command}`),
    `Again: npm run sim -- --seed ${seed} --size ${size} --path ${path} --replay "${replay}"`,
    `${closing}a promise was broken`,
  ].join('\n')
}
