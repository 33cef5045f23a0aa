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

it('a run of chaos ends with one line of JSON, and with 0 where nothing was violated', async () => {
  const { exitCode, output, complaints } = await chaos(...SMALL)
  const lines = output.trimEnd().split('\n')
  expect(lines, complaints).toHaveLength(1)
  const result = JSON.parse(lines[0] ?? '')
  expect(result).toMatchObject({ seed: 3, minutes: 0.01, faults: 1, violations: 0, violationList: [] })
  expect(result).toMatchObject({ phases: [{ fault: 'network', size: { outages: 0, perSecond: 2 }, skipped: null }] })
  expect(result.blobs).toBeGreaterThanOrEqual(10)
  expect(exitCode).toBe(0)
})

it('a fault that is not there is refused before anything begins', async () => {
  const { exitCode, output, complaints } = await chaos('--fault', 'flood', '--json')
  expect({ exitCode, output }).toEqual({ exitCode: 1, output: '' })
  expect(complaints).toContain('There is no fault "flood"')
})
