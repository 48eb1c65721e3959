/** One socket to the broadcaster: back-off, one flush per animation frame, gaps counted. */

import { useEffect, useMemo, useReducer, useState } from 'react'
import { isOpen, Model } from './model'
import type { Message } from './wire'

const FIRST_RETRY_MS = 250
const LAST_RETRY_MS = 10_000
const MAX_WAITING = 1_000 // a hidden tab gets no frames: flush without one

function addressOf(path: string): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${path}`
}

/** Keeps `model` fed until the returned function is called; `onFlush` follows every change. */
function follow(path: string, model: Model, onFlush: () => void): () => void {
  let socket: WebSocket | undefined
  let stopped = false
  let frame = 0
  let timer = 0
  const waiting: Message[] = []

  const flush = () => {
    cancelAnimationFrame(frame)
    frame = 0
    for (const message of waiting.splice(0)) model.apply(message)
    onFlush()
  }
  const soon = () => {
    if (!frame) frame = requestAnimationFrame(flush)
  }
  const open = () => {
    socket = new WebSocket(addressOf(path))
    socket.onopen = () => {
      model.link.status = 'live'
      model.link.attempts = 0
      model.link.heardAt = performance.now()
      soon()
    }
    socket.onmessage = (event: MessageEvent<string>) => {
      model.link.heardAt = performance.now()
      waiting.push(JSON.parse(event.data) as Message)
      if (waiting.length >= MAX_WAITING) flush()
      else soon()
    }
    socket.onclose = () => {
      if (stopped) return
      flush()
      model.link.status = 'lost'
      const delay = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** model.link.attempts++)
      timer = window.setTimeout(open, delay)
      soon()
    }
  }
  open()
  return () => {
    stopped = true
    clearTimeout(timer)
    cancelAnimationFrame(frame)
    socket?.close()
  }
}

/** The live model; the caller renders again after every flush, and once a second for ages. */
export function useRlWs(path = '/rl/ws'): { model: Model; version: number } {
  const [model] = useState(() => new Model())
  const [version, rendered] = useReducer((n: number) => n + 1, 0)
  useEffect(() => follow(path, model, rendered), [path, model])
  useEffect(() => {
    const clock = window.setInterval(rendered, 1_000)
    return () => clearInterval(clock)
  }, [])
  return { model, version }
}

/** The actor's events of one market out of the shared stream. */
export function useActorEvents(model: Model, version: number, ticker: string | null) {
  return useMemo(
    () => ({
      deeds: model.actions.filter((deed) => deed.last.ticker === ticker),
      fills: model.fills.filter((fill) => fill.ticker === ticker),
      open: [...model.orders.values()].filter((o) => o.ticker === ticker && isOpen(o)),
    }),
    // the model changes in place: its version says when
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [model, version, ticker],
  )
}
