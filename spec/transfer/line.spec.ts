import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Line, type LineMessage, type LineQuestion } from '../../lib/transfer/line.ts'

let main: MessagePort
let line: Line
let asked: LineQuestion[]

beforeEach(() => {
  const { port1, port2 } = new MessageChannel()
  main = port1
  asked = []
  main.on('message', (question: LineQuestion) => void asked.push(question))
  const endsAt = new BigInt64Array(new SharedArrayBuffer(8))
  endsAt[0] = process.hrtime.bigint() + 3_600_000_000_000n
  const rate = new Float64Array(new SharedArrayBuffer(8))
  rate[0] = 1000
  line = new Line({ port: port2, endsAt, rate })
})
afterEach(() => line.close())

const say = (message: LineMessage) => main.postMessage(message)

it('An authorization that is granted before the bytes that were asked for first is no answer to these', async () => {
  const granted = line.spend(100)
  const authorization = line.authorization()
  say({ say: 'authorization', authorization: 'a token' })
  expect(await authorization).toBe('a token')
  say({ say: 'bytes', bytes: 150 })
  await granted
  expect([asked, line.unspent]).toEqual([[{ ask: 'bytes', bytes: 100 }, { ask: 'authorization' }], 50])
})

it('Answers of one kind come in the order of their questions', async () => {
  const [first, second] = [line.authorization(), line.authorization()]
  say({ say: 'authorization', authorization: 'one' })
  say({ say: 'authorization', authorization: 'two' })
  expect(await Promise.all([first, second])).toEqual(['one', 'two'])
})

it('A transfer that is cut gets no answers any more', async () => {
  const [bytes, authorization] = [line.spend(1), line.authorization()]
  say({ say: 'cut' })
  await expect(bytes).rejects.toThrow('cut from this side')
  await expect(authorization).rejects.toThrow('cut from this side')
  expect(line.live).toBe(false)
})
