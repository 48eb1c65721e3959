import type { ReactNode } from 'react'

interface Props {
  title: string
  note?: ReactNode
  className?: string
  children: ReactNode
}

/** One box of the page, named for eyes and screen readers alike. */
export function Panel({ title, note, className, children }: Props) {
  return (
    <section className={`panel ${className ?? ''}`} aria-label={title}>
      <header>
        <h2>{title}</h2>
        <div className="note">{note}</div>
      </header>
      <div className="body">{children}</div>
    </section>
  )
}

export function Nothing({ children }: { children: ReactNode }) {
  return <p className="nothing">{children}</p>
}
