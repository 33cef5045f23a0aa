// Makes the pages live. Without it they are the same, told once: each has a link to itself.
;(() => {
  const language = document.documentElement.dataset.language
  const main = document.getElementById('main')
  const liveness = document.getElementById('liveness')

  // Moments are written by the server in UTC; here the time zone of the browser is known.
  const exact = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'long' })
  const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto' })
  const UNITS = [
    [86_400, 'day'],
    [3600, 'hour'],
    [60, 'minute'],
  ]
  function writeTimes() {
    for (const time of document.querySelectorAll('time[datetime]')) {
      const at = Date.parse(time.dateTime)
      const seconds = (at - Date.now()) / 1000
      const [length, unit] = UNITS.find(([length]) => Math.abs(seconds) >= length) ?? [1, 'second']
      const text = relative.format(unit === 'second' ? 0 : Math.trunc(seconds / length), unit)
      if (time.textContent !== text) time.textContent = text
      time.title = exact.format(at)
    }
  }
  writeTimes()
  setInterval(writeTimes, 30_000)

  for (const field of document.querySelectorAll('[data-counter]')) {
    const counter = document.getElementById(field.dataset.counter)
    const write = () => {
      counter.textContent = `${field.value.length} of ${field.maxLength} characters`
    }
    field.addEventListener('input', write)
    write()
  }

  for (const box of document.querySelectorAll('input[data-all]')) {
    box.hidden = false
    box.addEventListener('change', () => {
      for (const one of document.querySelectorAll(`input[name="${box.dataset.all}"]`)) one.checked = box.checked
    })
  }

  if (main.dataset.live === undefined) return
  let source = null
  const say = (text) => {
    if (liveness.textContent !== text) liveness.textContent = text
  }
  // What a person has opened, chosen or written stays as it is, and so does the time zone of a moment.
  const callbacks = {
    beforeAttributeUpdated: (name, node) => name !== 'open' && !(name === 'title' && node.matches('time')),
    beforeNodeMorphed: (before, after) => {
      if (before.nodeType !== Node.ELEMENT_NODE) return true
      if (before.matches('input, select, textarea')) return false
      return !(before.matches('time') && before.dateTime === after.dateTime)
    },
  }
  function open() {
    source = new EventSource(location.pathname + main.dataset.live)
    source.addEventListener('open', () => say('Live'))
    source.addEventListener('error', () =>
      say(source.readyState === EventSource.CLOSED ? 'Not live any more' : 'Not live at the moment; trying again'),
    )
    source.addEventListener('region', ({ data }) => {
      const { id, html } = JSON.parse(data)
      const region = document.getElementById(id)
      // What is new on the page would move what is there.
      if (!region) return say('There is something new on this page:')
      Idiomorph.morph(region, html, { morphStyle: 'innerHTML', callbacks })
      writeTimes()
    })
  }
  // Nobody is told anything while nobody looks.
  document.addEventListener('visibilitychange', () => {
    source?.close()
    if (document.visibilityState === 'visible') open()
  })
  addEventListener('pagehide', () => source?.close())
  open()
})()
