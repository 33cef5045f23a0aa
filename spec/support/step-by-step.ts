import { afterEach, beforeEach } from 'vitest'

/** In a file or suite whose examples are steps, each on what the ones before have left: none is taken after one that failed. */
export function stepByStep(): void {
  let isOver = false
  beforeEach(({ skip }) => skip(isOver, 'a step before has failed'))
  afterEach(({ task }) => {
    isOver ||= task.result?.state === 'fail'
  })
}
