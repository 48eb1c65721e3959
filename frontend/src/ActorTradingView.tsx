/** The page: what the actor sees, does and holds, live from the one stream. */

import { useEffect, useState } from 'react'
import { Account } from './components/Account'
import { Actions } from './components/Actions'
import { Banner } from './components/Banner'
import { Fills } from './components/Fills'
import { Hops } from './components/Hops'
import { Ladder } from './components/Ladder'
import { Markets } from './components/Markets'
import { Orders } from './components/Orders'
import { PriceChart } from './components/PriceChart'
import { Processes } from './components/Processes'
import { Shadow } from './components/Shadow'
import { price } from './format'
import type { Model } from './model'
import { useActorEvents, useRlWs } from './useRlWs'

/** The market in focus: the one that was picked while it is listed, else the busiest live one. */
function inFocus(model: Model, picked: string | null): string | null {
  const listed = model.session?.markets ?? [...model.books.keys()]
  if (picked && (listed.includes(picked) || model.books.has(picked))) return picked
  const books = listed.map((ticker) => model.books.get(ticker)).filter((book) => book !== undefined)
  const live = books.filter((book) => book.state === 'live')
  const busiest = [...(live.length ? live : books)].sort((a, b) => b.n_deltas - a.n_deltas)[0]
  return busiest?.ticker ?? listed[0] ?? null
}

export function ActorTradingView() {
  const { model, version } = useRlWs()
  const [picked, pick] = useState<string | null>(null)
  const focus = inFocus(model, picked)
  useEffect(() => {
    if (picked === null && focus !== null && model.books.get(focus)?.state === 'live') pick(focus)
  }, [picked, focus, model])
  const events = useActorEvents(model, version, focus)
  const book = focus ? model.books.get(focus) : undefined
  useEffect(() => {
    document.title = focus ? `${price(book?.mid)} ${focus} · kalshi-actor` : 'kalshi-actor'
  }, [focus, book?.mid])

  return (
    <>
      <Banner model={model} />
      <main className="grid">
        <div className="column side">
          <Account model={model} />
          <Markets model={model} focus={focus} onPick={pick} />
          <Fills fills={model.fills} focus={focus} />
        </div>
        <div className="column wide">
          <PriceChart
            ticker={focus}
            book={book}
            points={focus ? model.points.get(focus) : undefined}
            deeds={events.deeds}
            fills={events.fills}
            marketMs={model.stats.get('broadcaster')?.stats.market_ms ?? null}
          />
          <Orders model={model} focus={focus} />
        </div>
        <div className="column side">
          <Ladder ticker={focus} book={book} own={events.open} />
          <Hops latency={model.latency} />
        </div>
        <div className="column feed">
          <Actions model={model} focus={focus} />
          <Shadow model={model} />
          <Processes model={model} />
        </div>
      </main>
    </>
  )
}
