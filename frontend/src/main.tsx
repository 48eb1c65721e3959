import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { ActorTradingView } from './ActorTradingView'
import { Faults } from './components/Faults'
import './styles.css'

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <Faults>
      <ActorTradingView />
    </Faults>
  </StrictMode>,
)
