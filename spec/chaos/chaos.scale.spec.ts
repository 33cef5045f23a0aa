import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const PROGRAM = fileURLToPath(new URL('./chaos.ts', import.meta.url))
const SMALL = [
  '--minutes',
  '0.01',
  '--seed',
  '3',
  '--fault',
  'network',
  '--size',
  'outages=0',
  'slowSeconds=0',
  'perSecond=2',
  '--json',
]

function chaos(...args: readonly string[]): Promise<{ exitCode: number; output: string; complaints: string }> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [PROGRAM, ...args], (error, output, complaints) => {
      if (error && typeof error.code !== 'number') reject(error)
      else resolve({ exitCode: Number(error?.code ?? 0), output, complaints })
    })
  })
}

/** Its databases and processes begin and end: a machine that does much else besides takes its time for that. */
const ENDS_WITHIN_MS = 240_000

it('a run of chaos ends with one line of JSON, and with 1 where something was violated', {
  timeout: ENDS_WITHIN_MS,
}, async () => {
  const { exitCode, output, complaints } = await chaos(...SMALL)
  const lines = output.trimEnd().split('\n')
  expect(lines, complaints).toHaveLength(1)
  const result = JSON.parse(lines[0] ?? '')
  const count = expect.any(Number)
  expect(result).toMatchObject({ seed: 3, minutes: 0.01, faults: 1, blobs: count, violations: count })
  const phase = { fault: 'network', size: { outages: 0, perSecond: 2 }, figures: {}, skipped: null, violations: count }
  expect(result.phases).toEqual([expect.objectContaining({ ...phase, size: expect.objectContaining(phase.size) })])
  expect(result.blobs).toBeGreaterThan(0)
  for (const list of ['violationList', 'skipped', 'replaced']) expect(result[list]).toBeInstanceOf(Array)
  expect(result.violations).toBe(result.violationList.length)
  expect(exitCode, complaints).toBe(result.violations > 0 ? 1 : 0)
})

it('a fault that is not there is refused before anything begins', async () => {
  const { exitCode, output, complaints } = await chaos('--fault', 'flood', '--json')
  expect({ exitCode, output }).toEqual({ exitCode: 1, output: '' })
  expect(complaints).toContain('There is no fault "flood"')
})
