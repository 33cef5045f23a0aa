import { startTurnProbe } from '../../fixtures/widget-app/turn-probe.ts'

/** What a site's process would be without anything to do; see ForkedSite. */
const probe = startTurnProbe()
process.on('message', (message: { type?: string }) => {
  if (message.type === 'reset') probe.reset()
  if (message.type === 'measure') process.send?.({ type: 'measured', ...probe.read() })
})
process.on('disconnect', () => process.exit(0))
process.on('SIGTERM', () => process.exit(0))
process.send?.({ ready: true })
