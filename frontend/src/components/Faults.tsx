import { Component, type ReactNode } from 'react'

/** Says that the page broke, rather than showing nothing. */
export class Faults extends Component<{ children: ReactNode }, { fault: string | null }> {
  override state = { fault: null as string | null }

  static getDerivedStateFromError(error: unknown) {
    return { fault: String(error) }
  }

  override render() {
    if (this.state.fault === null) return this.props.children
    return (
      <div className="fault" role="alert">
        <strong>STALE: the page broke</strong>
        <code>{this.state.fault}</code>
        <button type="button" onClick={() => location.reload()}>Reload</button>
      </div>
    )
  }
}
