import type { ChildProcess, Serializable } from 'node:child_process'
import { once } from 'node:events'

/** Asks a child that answers each question with one message. Rejects where it has ended: it would never answer. */
export async function ask(child: ChildProcess, question: Serializable): Promise<unknown> {
  const gone = new AbortController()
  const leave = () => gone.abort(new Error(`A helper of the run ended with ${child.signalCode ?? child.exitCode}`))
  if (hasEnded(child)) leave()
  child.once('exit', leave)
  try {
    const answer = once(child, 'message', { signal: gone.signal })
    if (child.connected) child.send(question)
    return (await answer)[0]
  } catch (reason) {
    throw gone.signal.aborted ? gone.signal.reason : reason
  } finally {
    child.off('exit', leave)
  }
}

/** Ends it, if it has not ended by itself. */
export async function endNow(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}
