import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { ask, endNow } from './child.ts'

const children: ChildProcess[] = []

function begun(program: string): ChildProcess {
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  children.push(child)
  return child
}

afterEach(async () => {
  for (const child of children.splice(0)) await endNow(child)
})

describe('a helper process of a run', () => {
  it('answers a question', async () => {
    const child = begun("process.on('message', (text) => process.send(text + '!'))")
    expect(await ask(child, 'well')).toBe('well!')
  })

  it('is not waited for where it ends instead of an answer', async () => {
    const child = begun("process.on('message', () => process.exit(3))")
    await expect(ask(child, 'well')).rejects.toThrow('ended with 3')
  })

  it('is neither asked nor waited for once it has ended', async () => {
    const child = begun('process.exit(0)')
    await once(child, 'exit')
    await expect(ask(child, 'well')).rejects.toThrow('ended with 0')
    await endNow(child)
  })
})
